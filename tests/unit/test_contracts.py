"""Ids, wire forms, errors and tokens: what crosses a border is checked at it."""

from __future__ import annotations

import inspect
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import errors, ids
from contracts.error_status import http_status
from contracts.errors import BadRequest, LongwaveError, OutOfOrder
from contracts.http import json_line
from contracts.ids import check_title
from contracts.position import Position
from contracts.take import (
    Rendition,
    TakeEvent,
    TakeHeader,
    TakeSettings,
    parse_renditions,
)
from contracts.take_state import RenditionState, TakeState

HEADER = {"epoch_us": 1, "channels": 1, "parts": 5, "renditions": ["64k"], "encoder": "f"}


@pytest.mark.parametrize("room", ["a", "A-b_9", "x" * 64])
def test_a_room_id_is_taken(room: str) -> None:
    assert ids.check_room(room) == room


@pytest.mark.parametrize("room", ["", "x" * 65, "a b", "a/b", "ä", "a\n", "..", "a%20b"])
def test_anything_else_is_no_room_id(room: str) -> None:
    with pytest.raises(BadRequest):
        ids.check_room(room)


@given(st.integers(0, 253_402_300_799_000_000), st.binary(min_size=4, max_size=8))
def test_a_new_take_id_is_a_take_id(epoch_us: int, entropy: bytes) -> None:
    assert ids.check_take(ids.new_take_id(epoch_us, entropy))


def test_a_take_id_tells_its_second() -> None:
    assert ids.new_take_id(1_000_000, b"\0\0\0\0") == "19700101T000001Z-aaaaaa"


@pytest.mark.parametrize("take", ["", "20260131T200000Z-ABC234", "20260131T200000Z-abc23", "x"])
def test_anything_else_is_no_take_id(take: str) -> None:
    with pytest.raises(BadRequest):
        ids.check_take(take)


@pytest.mark.parametrize("name", ["", "a" * 65, "a\nb", "\x7f"])
def test_a_speaker_has_a_printable_name(name: str) -> None:
    with pytest.raises(BadRequest):
        ids.check_speaker(name)


def test_renditions_are_named_by_their_bit_rate() -> None:
    assert [r.bit_rate for r in parse_renditions("32k, 128k")] == [32_000, 128_000]
    with pytest.raises(BadRequest):
        parse_renditions("64")


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 3},
        {"channels": True},
        {"channels": 1.0},
        {"parts": 0},
        {"parts": 11},
        {"renditions": []},
        {"renditions": ["64k", "64k"]},
        {"renditions": ["8k"]},
        {"renditions": ["257k"]},
        {"renditions": "64k"},
        {"renditions": [64]},
        {"epoch_us": -1},
        {"epoch_us": 10**30},
        {"encoder": ""},
        {"encoder": "x" * 129},
        {"further": 1},
    ],
)
def test_a_header_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        TakeHeader.from_json({**HEADER, **wrong})


def test_a_header_goes_over_the_wire_and_back() -> None:
    header = TakeHeader(7, TakeSettings(2, 10, parse_renditions("32k,128k")), "abc")
    assert TakeHeader.from_json(json.loads(json.dumps(header.to_json()))) == header
    assert TakeHeader.from_json(HEADER).to_json() == HEADER


def test_stereo_allows_twice_the_bit_rate() -> None:
    assert TakeSettings(channels=2, renditions=(Rendition("512k"),)).channels == 2


def test_a_state_goes_over_the_wire_and_back() -> None:
    state = TakeState(
        {"64k": RenditionState(3, Position(9, 2), (4, 5)), "32k": RenditionState(None, Position(0, 0))}, 17
    )
    assert TakeState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    "event",
    [
        TakeEvent(0, 0, "chapter", title='A "title"\n\x00'),
        TakeEvent(5, 1, "speakers", speakers=("Ana", "Bén")),
        TakeEvent(5, 2, "speakers"),
    ],
)
def test_an_event_goes_over_the_wire_and_back(event: TakeEvent) -> None:
    assert TakeEvent.from_json(event.id, json.loads(json.dumps(event.to_json()))) == event


@pytest.mark.parametrize(
    ("event_id", "body"),
    [
        ("01-0", {"kind": "chapter", "title": "x"}),
        ("1", {"kind": "chapter", "title": "x"}),
        ("-1-0", {"kind": "chapter", "title": "x"}),
        ("1-0", {"kind": "chapter", "title": ""}),
        ("1-0", {"kind": "chapter", "title": "x" * 1025}),
        ("1-0", {"kind": "chapter", "title": "half a pair \ud83c"}),
        ("1-0", {"kind": "speakers", "speakers": ["Ann", "\udc00"]}),
        ("1-0", {"kind": "chapter"}),
        ("1-0", {"kind": "speakers", "speakers": ["x"] * 65}),
        ("1-0", {"kind": "speakers", "speakers": [1]}),
        ("1-0", {"kind": "speakers", "speakers": "x"}),
        ("1-0", {"kind": "noise"}),
        ("1-0", []),
    ],
)
def test_an_event_that_cannot_be_is_refused(event_id: str, body: object) -> None:
    with pytest.raises(BadRequest):
        TakeEvent.from_json(event_id, body)


def _tree() -> list[type[LongwaveError]]:
    found = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, LongwaveError)
    ]
    return [kind for kind in found if not kind.__name__.startswith("_")]


def test_every_error_is_in_the_drawing() -> None:
    drawn = set(re.findall(r"[─└├ ]([A-Z]\w+)", errors.__doc__ or "")) | {"LongwaveError"}
    assert {kind.__name__ for kind in _tree()} <= drawn


def test_the_drawing_tells_the_status_that_is_sent() -> None:
    drawn = dict(re.findall(r"[─└├] ([A-Z]\w+) +([45]\d\d)", errors.__doc__ or ""))
    assert len(drawn) > 20
    for kind in _tree():
        if kind.__name__ in drawn:
            error = kind.__new__(kind)
            assert http_status(error) == int(drawn[kind.__name__])


def test_an_error_tells_what_is_expected() -> None:
    assert OutOfOrder("first 3.1", Position(3, 1)).details() == {"expected": {"msn": 3, "part": 1}}


def test_an_error_may_name_what_is_no_text() -> None:
    answer = json_line({"error": "not known here: \udcff"}, 400)
    assert answer.body == b'{"error": "not known here: \\udcff"}\n'
    assert answer.content_type == "application/json"


@pytest.mark.parametrize("title", ["Budget\u202f: suite", "Prix\u00a0: 3\u00a0€", "東京\u3000夜話"])
def test_titles_may_have_the_spaces_of_their_languages(title: str) -> None:
    assert check_title(title) == title


@pytest.mark.parametrize("title", ["\u3000", "\u00a0\u202f", "a\u2028b", "a\u2029b", "a\u0085b"])
def test_a_title_is_more_than_spaces_and_has_one_line(title: str) -> None:
    with pytest.raises(BadRequest):
        check_title(title)
