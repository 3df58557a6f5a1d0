"""Access lines of edges: what they say, and what is no line of theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.position import Position
from longwave.edge.gathering import MAX_DISTINCT, Gathering
from longwave.edge.lines import Access, Segment, parse_access, parse_asked, said

TAKE = "20260101T000000Z-abc234"
LINE = f"{TAKE}/64k"


@pytest.mark.parametrize(
    ("text", "access"),
    [
        (
            "lw1 200 hit multivariant /live/room/index.m3u8",
            Access(200, "hit", "multivariant", "room", "", None),
        ),
        (
            f"lw1 304 miss playlist /live/a_B-9/{LINE}/index.m3u8",
            Access(304, "miss", "playlist", "a_B-9", LINE, None),
        ),
        (
            f"lw1 200 hit playlist /live/room/{LINE}/index.m3u8?_HLS_skip=YES",
            Access(200, "hit", "playlist", "room", LINE, None),
        ),
        (
            f"lw1 200 hit blocking_playlist /live/room/{LINE}/index.m3u8?_HLS_msn=7&_HLS_part=3&_HLS_skip=v2",
            Access(200, "hit", "blocking_playlist", "room", LINE, Position(7, 3)),
        ),
        (
            f"lw1 503 error blocking_playlist /live/room/{LINE}/index.m3u8?_HLS_msn=7",
            Access(503, "error", "blocking_playlist", "room", LINE, Segment(7)),
        ),
    ],
)
def test_a_line_says_who_asked_for_what(text: str, access: Access) -> None:
    assert parse_access(text.encode()) == access
    assert access.listens == (access.status in {200, 304})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lw1",
        "lw1 200 hit playlist",
        "lw1 2x0 hit playlist /live/room/index.m3u8",
        "lw1 200 stale multivariant /live/room/index.m3u8",
        "lw1 200 hit segment /live/room/index.m3u8",
        "lw1 200 hit playlist /live/room/index.m3u8",
        f"lw1 200 hit multivariant /live/room/{LINE}/index.m3u8",
        "lw1 200 hit multivariant /live/ro om/index.m3u8",
        f"lw1 200 hit multivariant /live/{'r' * 65}/index.m3u8",
        "lw1 200 hit multivariant /replay/room/index.m3u8",
        "lw1 200 hit multivariant /p/k.1.2/live/room/index.m3u8",
        "lw2 200",
    ],
)
def test_what_is_no_such_line_is_nothing(text: str) -> None:
    assert parse_access(text.encode()) is None


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("lw2 200", [200]),
        ("lw2 502, 200", [502, 200]),
        ("lw2 502, 503 : 200", [502, 503, 200]),
        ("lw2 -", []),
        ("lw2 ", []),
        ("lw1", []),
    ],
)
def test_requests_to_origins_are_told_one_by_one(text: str, statuses: list[int]) -> None:
    assert parse_asked(text.encode()) == statuses


def test_what_a_logger_puts_before_a_line_is_left_out() -> None:
    line = b"lw1 200 hit multivariant /live/room/index.m3u8"
    assert said(b"<190>Nov 22 00:45:12 longwave: " + line + b"\n") == line
    assert said(b"<190>Nov 22 00:45:12 longwave: lw2 200") == b"lw2 200"
    assert said(b"<190>Nov 22 00:45:12 longwave: anything else") == b""


@given(st.binary(max_size=300))
def test_garbage_is_nothing_and_harms_nothing(data: bytes) -> None:
    for text in (data, b"lw1 " + data, b"lw1 200 hit playlist /live/" + data, b"lw2 " + data):
        gathering = Gathering()
        gathering.add([text, text])
        for line, times in gathering.take().items():
            assert times == 2
            parse_access(line)
            parse_asked(line)


def test_equal_lines_are_counted_and_a_flood_of_others_is_dropped_and_said() -> None:
    gathering = Gathering()
    gathering.add([b"lw2 200"] * 3)
    gathering.add(b"lw1 %d" % number for number in range(MAX_DISTINCT + 10))
    gathering.add([b"lw2 200", b"lw1 " + b"x" * 5000])
    taken = gathering.take()
    assert taken[b"lw2 200"] == 4
    assert len(taken) == MAX_DISTINCT
    assert gathering.dropped == 12
    assert gathering.take() == {}
