import unicodedata
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from contracts.take import TakeEvent
from pipeline.playlist.dateranges import render_event
from tests.takes import EPOCH_US


def test_a_chapter_ends_where_the_next_one_begins() -> None:
    assert render_event(TakeEvent(96_000, 2, "chapter", title="Questions"), EPOCH_US) == (
        '#EXT-X-DATERANGE:ID="chapter-96000-2",CLASS="com.longwave.chapter",'
        'START-DATE="2026-01-01T00:00:02.000Z",END-ON-NEXT=YES,X-TITLE="Questions"\n'
    )


def test_speakers_are_one_range_that_names_all() -> None:
    assert render_event(TakeEvent(0, 0, "speakers", speakers=("Ann", "Bo, Jr.")), EPOCH_US) == (
        '#EXT-X-DATERANGE:ID="speakers-0-0",CLASS="com.longwave.speakers",'
        'START-DATE="2026-01-01T00:00:00.000Z",END-ON-NEXT=YES,X-SPEAKERS="Ann,Bo%2C Jr."\n'
    )


def test_nobody_speaking_is_a_range_too() -> None:
    assert render_event(TakeEvent(0, 0, "speakers"), EPOCH_US).endswith('END-ON-NEXT=YES,X-SPEAKERS=""\n')


@given(st.lists(st.text(min_size=1, alphabet=st.characters(codec="utf-8")), min_size=1, max_size=5))
def test_names_come_back_one_by_one(names: list[str]) -> None:
    line = render_event(TakeEvent(0, 0, "speakers", speakers=tuple(names)), EPOCH_US)
    value = line.rstrip("\n").partition('X-SPEAKERS="')[2][:-1]
    once = [unquote(name) for name in value.split(",")]
    again = render_event(TakeEvent(0, 0, "speakers", speakers=tuple(once)), EPOCH_US)
    assert len(once) == len(names)
    assert again == line


NASTY = st.one_of(
    st.sampled_from("\"'%{}$,=\\\t\r\n\x00\x7f\x85\u2028\u2029\ufeff\ud800\udfff🎙é#"), st.characters()
)


@given(st.lists(NASTY, min_size=1, max_size=1024).map("".join))
def test_no_title_ends_its_line_or_its_string(title: str) -> None:
    line = render_event(TakeEvent(0, 0, "chapter", title=title), EPOCH_US)
    assert line.encode().decode() == line
    assert len(line.splitlines()) == 1
    assert not any(unicodedata.category(char) == "Cc" for char in line[:-1])
    before, _, value = line[:-1].partition('X-TITLE="')
    assert value.index('"') == len(value) - 1
    assert before.count('"') == 6
    halves = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in title)
    assert unquote(value[:-1]) == unicodedata.normalize("NFC", halves)
