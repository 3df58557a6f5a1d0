import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.position import Position
from contracts.take import TakeEvent
from pipeline.grid import SEGMENT, Grid
from pipeline.playlist import MediaPlaylist, MediaText, RenditionReport, Segment, Skip, render
from pipeline.playlist.dateranges import render_event
from tests.takes import EPOCH_US

GRID = Grid(5)


def media(*segments: Segment, upcoming: tuple[int, int], **more: object) -> MediaPlaylist:
    return MediaPlaylist(
        epoch_us=EPOCH_US,
        grid=GRID,
        segments=segments,
        next=Position(*upcoming),
        **more,  # type: ignore[arg-type]
    )


LIVE = """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK=1.21600,\
HOLD-BACK=6
#EXT-X-PART-INF:PART-TARGET=0.40533
#EXT-X-MEDIA-SEQUENCE:4
#EXT-X-DATERANGE:ID="chapter-480000-0",CLASS="com.longwave.chapter",START-DATE="2026-01-01T00:00:10.000Z",\
END-ON-NEXT=YES,X-TITLE="Say %22hi%22"
#EXT-X-DATERANGE:ID="speakers-480048-1",CLASS="com.longwave.speakers",START-DATE="2026-01-01T00:00:10.001Z",\
END-ON-NEXT=YES,X-SPEAKERS="Ann,Bob%2C the 2nd"
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:08.000Z
#EXTINF:2.00533,
4.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:10.005Z
#EXT-X-GAP
#EXTINF:2.00533,
5.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:12.010Z
#EXT-X-PART:DURATION=0.38400,URI="6.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="6.1.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="6.2.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="6.3.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="6.4.m4s",INDEPENDENT=YES
#EXTINF:2.00533,
6.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:14.016Z
#EXT-X-PART:DURATION=0.38400,URI="7.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="7.1.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="7.2.m4s"
#EXT-X-RENDITION-REPORT:URI="../32k/index.m3u8",LAST-MSN=7,LAST-PART=0
#EXT-X-RENDITION-REPORT:URI="../128k/index.m3u8",LAST-MSN=6
"""


def test_a_live_playlist_with_everything_in_it() -> None:
    playlist = media(
        Segment(4, 5),
        Segment(5, 0),
        Segment(6, 5),
        upcoming=(7, 2),
        events=(
            TakeEvent(480_000, 0, "chapter", title='Say "hi"'),
            TakeEvent(480_048, 1, "speakers", speakers=("Ann", "Bob, the 2nd")),
        ),
        reports=(RenditionReport("32k", 7, 0), RenditionReport("128k", 6, None)),
    )
    assert render(playlist) == LIVE


ENDED = """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK=1.21600,\
HOLD-BACK=6
#EXT-X-PART-INF:PART-TARGET=0.40533
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:2.00533,
0.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.005Z
#EXT-X-PART:DURATION=0.38400,URI="1.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="1.1.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="1.2.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="1.3.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="1.4.m4s",INDEPENDENT=YES
#EXTINF:2.00533,
1.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.010Z
#EXT-X-PART:DURATION=0.38400,URI="2.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="2.1.m4s",INDEPENDENT=YES
#EXTINF:0.78933,
2.m4s
#EXT-X-ENDLIST
"""


def test_an_ended_playlist_hints_nothing_and_its_last_segment_may_be_short() -> None:
    ended = media(Segment(0, 5), Segment(1, 5), Segment(2, 2), upcoming=(3, 0), ended=True)
    assert render(ended) == ENDED
    assert render(ended, skip=Skip.YES) == render(ended, skip=Skip.V2) == ENDED


def test_an_open_segment_without_parts_is_hinted_but_not_dated() -> None:
    text = render(media(Segment(0, 5), upcoming=(1, 0)))
    assert text.endswith('0.m4s\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="1.0.m4s"\n')


def test_a_playlist_without_whole_segments_begins_with_the_open_one() -> None:
    text = render(media(upcoming=(700, 1)))
    assert "#EXT-X-MEDIA-SEQUENCE:700\n" in text
    assert '#EXT-X-PART:DURATION=0.38400,URI="700.0.m4s",INDEPENDENT=YES\n' in text


def test_a_segment_of_93_frames_says_so() -> None:
    assert "#EXTINF:1.98400,\n3.m4s\n" in render(media(Segment(3, 5), upcoming=(4, 0)))


def test_hold_back_is_three_times_the_part_target_as_it_is_written() -> None:
    for parts, expected in (
        (1, "PART-HOLD-BACK=6.01600,HOLD-BACK=6\n#EXT-X-PART-INF:PART-TARGET=2.00533"),
        (3, "PART-HOLD-BACK=2.04801,HOLD-BACK=6\n#EXT-X-PART-INF:PART-TARGET=0.68267"),
        (10, "PART-HOLD-BACK=0.64000,HOLD-BACK=6\n#EXT-X-PART-INF:PART-TARGET=0.21333"),
    ):
        playlist = MediaPlaylist(
            epoch_us=EPOCH_US, grid=Grid(parts), segments=(Segment(0, parts),), next=Position(1, 0)
        )
        assert expected in render(playlist)


DELTA = """\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK=1.21600,\
HOLD-BACK=6
#EXT-X-PART-INF:PART-TARGET=0.40533
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-SKIP:SKIPPED-SEGMENTS=3
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:26.005Z
#EXTINF:2.00533,
13.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:28.010Z
#EXTINF:2.00533,
14.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:30.016Z
#EXTINF:1.98400,
15.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:32.000Z
#EXTINF:2.00533,
16.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:34.005Z
#EXTINF:2.00533,
17.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:36.010Z
#EXT-X-PART:DURATION=0.38400,URI="18.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="18.1.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="18.2.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="18.3.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="18.4.m4s",INDEPENDENT=YES
#EXTINF:2.00533,
18.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:38.016Z
#EXT-X-PART:DURATION=0.38400,URI="19.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="19.1.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.38400,URI="19.2.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="19.3.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40533,URI="19.4.m4s",INDEPENDENT=YES
#EXTINF:1.98400,
19.m4s
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="20.0.m4s"
"""


def test_a_delta_update_skips_what_lies_beyond_the_skip_boundary() -> None:
    # 11.989 s lie after segment 13, which is therefore kept.
    assert (
        render(media(*(Segment(msn, 5) for msn in range(10, 20)), upcoming=(20, 0)), skip=Skip.YES) == DELTA
    )


def test_a_delta_update_keeps_all_date_ranges_unless_it_may_skip_them() -> None:
    old, gone = TakeEvent(0, 0, "chapter", title="old"), TakeEvent(1, 0, "speakers")
    new = TakeEvent(1_800_000, 3, "speakers", speakers=("Ann",))
    playlist = media(
        *(Segment(msn, 5) for msn in range(10, 20)),
        upcoming=(20, 0),
        events=(old, new),
        added=(new,),
        removed=(gone, old),
    )
    map_tag, one, two = (
        '#EXT-X-MAP:URI="init.mp4"\n',
        render_event(old, EPOCH_US),
        render_event(new, EPOCH_US),
    )
    assert render(playlist, skip=Skip.YES) == DELTA.replace(map_tag, one + two + map_tag)
    told = 'SKIPPED-SEGMENTS=3,RECENTLY-REMOVED-DATERANGES="speakers-1-0\tchapter-0-0"\n'
    assert render(playlist, skip=Skip.V2) == (
        DELTA.replace("VERSION:9", "VERSION:10")
        .replace("SKIPPED-SEGMENTS=3\n", told)
        .replace(map_tag, two + map_tag)
    )


@pytest.mark.parametrize(
    ("last", "skipped", "why"),
    [
        (20, 4, "11.989 s after segment 14"),
        (19, 3, "11.989 s after segment 13"),
        (18, 3, "12.011 s after segment 12"),
        (17, 2, "12.011 s after segment 11"),
        (16, 0, "11.989 s after segment 10"),
        (10, 0, "nothing after segment 10"),
    ],
)
def test_only_segments_more_than_12_s_from_the_end_are_skipped(last: int, skipped: int, why: str) -> None:
    playlist = media(*(Segment(msn, 5) for msn in range(10, last + 1)), upcoming=(last + 1, 3))
    assert playlist.skippable() == skipped, why


def test_a_playlist_too_short_to_skip_anything_is_answered_in_full() -> None:
    event = TakeEvent(0, 0, "chapter", title="listed")
    playlist = media(Segment(0, 5), Segment(1, 5), upcoming=(2, 1), events=(event,))
    assert "X-TITLE" in render(playlist)
    assert render(playlist, skip=Skip.YES) == render(playlist, skip=Skip.V2) == render(playlist)


@given(st.integers(0, 10**6), st.integers(1, 40), st.data())
def test_a_delta_update_put_onto_an_older_playlist_gives_the_full_one(
    first: int, length: int, data: st.DataObject
) -> None:
    parts = data.draw(st.lists(st.sampled_from([5, 5, 5, 0]), min_size=length, max_size=length))
    segments = [Segment(first + index, count) for index, count in enumerate(parts)]
    playlist = media(*segments, upcoming=(first + length, data.draw(st.integers(0, 4))))
    full, delta = render(playlist), render(playlist, skip=Skip.YES)
    assert _merged(full, delta) == full.replace("VERSION:6", "VERSION:9") if "SKIP:" in delta else full


def _merged(known: str, delta: str) -> str:
    """`delta` with the skipped segments' lines taken from a playlist that begins at the same segment."""
    before, _, after = delta.partition("#EXT-X-SKIP:SKIPPED-SEGMENTS=")
    count, _, rest = after.partition("\n")
    between, tag, last = rest.partition(_MAP)
    lines = known.partition(_MAP)[2].splitlines(keepends=True)
    uris = [index for index, line in enumerate(lines) if not line.startswith("#")]
    return before + between + tag + "".join(lines[: uris[int(count) - 1] + 1]) + last


_MAP = '#EXT-X-MAP:URI="init.mp4"\n'


def test_a_playlist_that_is_rarely_asked_for_keeps_no_more_text() -> None:
    kept = MediaText()
    for msn in range(10, 2_010, 10):
        events = [TakeEvent(msn * SEGMENT + n, 0, "chapter", title=f"{n}") for n in range(10)]
        segments = (Segment(n, 5) for n in range(msn - 6, msn))
        kept.render(media(*segments, upcoming=(msn, 0), events=events))
    assert len(pickle.dumps(kept)) < 10_000


def test_kept_text_is_the_text_that_a_fresh_rendering_gives() -> None:
    kept = MediaText()
    events: tuple[TakeEvent, ...] = ()
    for step in range(60):
        msn, part = divmod(step, 5)
        first = max(0, msn - 6)
        segments = tuple(Segment(n, 0 if n % 4 == 2 else 5) for n in range(first, msn))
        if step % 7 == 0:
            events = (*events, TakeEvent(step * 19_000, 0, "chapter", title=f"{step}"))[-2:]
        playlist = media(*segments, upcoming=(msn, part), events=events, added=events[1:], ended=step == 59)
        for skip in (Skip.V2, Skip.YES, Skip.NO):
            assert kept.render(playlist, skip=skip) == render(playlist, skip=skip)
