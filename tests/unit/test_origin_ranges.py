"""Byte ranges, file names, and what is kept in a bounded cache: the pure parts of serving replays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import RangeNotSatisfiable
from origin.attachment import file_name, inline
from origin.collapse import Collapse
from origin.ranges import ByteRange, parse_range, range_holds
from origin.replay_reader import Piece, Stored
from origin.weighed import Weighed


@pytest.mark.parametrize(
    ("field", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=10-19", 10, 20),
        ("bytes=99-", 99, 100),
        ("bytes=0-", 0, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-100", 0, 100),
        ("bytes=-5000", 0, 100),
        ("bytes=50-5000", 50, 100),
        ("bytes=50-" + "9" * 5000, 50, 100),
        ("bytes=" + "0" * 5000 + "7-9", 7, 10),
        ("Bytes=1-2", 1, 3),
        ("bytes= 1-2 ", 1, 3),
        ("bytes=,1-2,", 1, 3),
    ],
)
def test_one_range_is_cut_to_what_is_there(field: str, start: int, stop: int) -> None:
    assert parse_range(field, 100) == ByteRange(start, stop)


@pytest.mark.parametrize(
    "field",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=,",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1-2x",
        "bytes=0x10-",
        "bytes=\u0661-\u0662",
        "bytes=1 - 2",
        "samples=0-5",
        "bytes 0-5",
        "0-5",
    ],
)
def test_what_is_no_range_of_bytes_is_ignored(field: str) -> None:
    assert parse_range(field, 100) is None


@pytest.mark.parametrize("count", [2, 3, 1_000])
def test_several_ranges_are_ignored(count: int) -> None:
    assert parse_range("bytes=" + ",".join(f"{n}-{n}" for n in range(count)), 100_000) is None


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("bytes=5-4", "ends before it begins"),
        ("bytes=99-0", "ends before it begins"),
        ("bytes=100-", "beyond the end: there are 100 bytes"),
        ("bytes=100-100", "beyond the end"),
        ("bytes=200-100", "beyond the end"),
        ("bytes=" + "9" * 5000 + "-", "beyond the end"),
        ("bytes=-0", "empty"),
    ],
)
def test_a_range_that_cannot_be_is_refused_with_the_size(field: str, says: str) -> None:
    with pytest.raises(RangeNotSatisfiable, match=says) as refused:
        parse_range(field, 100)
    assert refused.value.headers() == {"Content-Range": "bytes */100"}


@pytest.mark.parametrize("field", ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"])
def test_of_nothing_no_range_can_be_had(field: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(field, 0)


@given(st.text(max_size=40), st.integers(0, 50))
def test_whatever_is_asked_the_answer_lies_in_the_body(text: str, size: int) -> None:
    for field in (text, f"bytes={text}"):
        try:
            found = parse_range(field, size)
        except RangeNotSatisfiable:
            continue
        assert found is None or 0 <= found.start < found.stop <= size


def test_a_range_says_where_it_lies() -> None:
    assert ByteRange(5, 10).content_range(100) == "bytes 5-9/100"
    assert len(ByteRange(5, 10)) == 5


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (None, True),
        ('"abc"', True),
        (' "abc" ', True),
        ('W/"abc"', False),
        ('"abd"', False),
        ("abc", False),
        ("*", False),
        ("", False),
        ("Thu, 01 Jan 2026 00:00:00 GMT", False),
    ],
)
def test_a_range_holds_only_of_the_very_same_bytes(if_range: str | None, *, holds: bool) -> None:
    assert range_holds(if_range, '"abc"') is holds


# ---- pieces ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop", "pieces"),
    [
        (0, 25, [(0, 10, "a"), (10, 20, "b"), (20, 25, "c")]),
        (0, 1, [(0, 10, "a")]),
        (9, 10, [(0, 10, "a")]),
        (9, 11, [(0, 10, "a"), (10, 20, "b")]),
        (10, 20, [(10, 20, "b")]),
        (24, 25, [(20, 25, "c")]),
        (0, 0, []),
    ],
)
def test_a_range_is_read_in_the_pieces_that_hold_it(
    start: int, stop: int, pieces: list[tuple[int, int, str]]
) -> None:
    stored = Stored("x", 25, "f" * 64, ("a", "b", "c"), 10)
    assert [*stored.pieces(start, stop)] == [Piece("x", *piece) for piece in pieces]
    assert stored.etag == f'"{"f" * 32}"'


# ---- names of files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "field"),
    [
        ("The harbour", 'inline; filename="The harbour.m4a"'),
        ("Töwn hall", "inline; filename=\"T_wn hall.m4a\"; filename*=UTF-8''T%C3%B6wn%20hall.m4a"),
        ('a"; filename="b.exe', 'inline; filename="a ; filename= b.exe.m4a"'),
        ("a\r\nSet-Cookie: x\0", 'inline; filename="a Set-Cookie x.m4a"'),
        ("../../etc/passwd", 'inline; filename="etc passwd.m4a"'),
        ("\\\\host\\share", 'inline; filename="host share.m4a"'),
        ("100 %41", 'inline; filename="100 41.m4a"'),
        ("safe\u202egpj.exe", 'inline; filename="safe gpj.exe.m4a"'),
        (".hidden.", 'inline; filename="hidden.m4a"'),
        ("half \ud83d", 'inline; filename="half.m4a"'),
        ("", 'inline; filename="replay.m4a"'),
        ("///", 'inline; filename="replay.m4a"'),
        ("港", "inline; filename=\"_.m4a\"; filename*=UTF-8''%E6%B8%AF.m4a"),
    ],
)
def test_a_title_becomes_a_name_that_no_header_and_no_disk_minds(title: str, field: str) -> None:
    assert inline(file_name(title, ".m4a")) == field


@given(st.text())
def test_any_title_gives_one_line_and_a_short_name(title: str) -> None:
    name = file_name(title, ".m4a")
    field = inline(name)
    assert field.isascii()
    assert field.isprintable()
    assert len(name.encode()) <= 190
    assert "/" not in name
    if "filename*" in field:
        assert unquote(field.rpartition("UTF-8''")[2]) == name


def test_a_long_title_is_cut_between_characters() -> None:
    assert file_name("ö" * 1024, ".m4a") == "ö" * 90 + ".m4a"


# ---- caches ------------------------------------------------------------------------------------------------


def test_what_was_used_longest_ago_leaves_first() -> None:
    kept: Weighed[str, int] = Weighed(10)
    for key in "abc":
        kept.put(key, ord(key), 3)
    assert kept.get("a") == ord("a")
    kept.put("d", 4, 4)
    assert (kept.get("a"), kept.get("b"), kept.get("c"), kept.get("d")) == (ord("a"), None, ord("c"), 4)
    assert (kept.weight, len(kept), kept.weight_of("d"), kept.weight_of("b")) == (10, 3, 4, 0)
    kept.put("d", 5, 1)
    assert (kept.get("d"), kept.weight) == (5, 7)
    kept.put("d", 6, 11)
    assert (kept.get("d"), kept.weight) == (None, 6)
    kept.drop("a")
    kept.drop("a")
    assert (kept.weight, len(kept)) == (3, 1)


class Work:
    """Something that takes until it is told to end."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.begun


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0)


async def test_what_many_want_at_once_is_done_once() -> None:
    collapse, work = Collapse[str, int](), Work()
    waiting = [asyncio.create_task(collapse.run("a", work)) for _ in range(5)]
    await until(lambda: work.begun == 1)
    # One of them leaves: the others get what they wait for.
    waiting[0].cancel()
    await asyncio.sleep(0)
    work.end.set()
    assert await asyncio.gather(*waiting[1:]) == [1] * 4
    assert (work.begun, work.cancelled) == (1, 0)
    # It is no cache: who comes later begins anew.
    assert await collapse.run("a", work) == 2


async def test_what_nobody_waits_for_any_more_is_cancelled() -> None:
    collapse, work = Collapse[str, int](), Work()
    waiting = [asyncio.create_task(collapse.run("a", work)) for _ in range(3)]
    await until(lambda: work.begun == 1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    # Who comes in this moment does not join what is being cancelled.
    late = asyncio.create_task(collapse.run("a", work))
    await until(lambda: work.cancelled == 1)
    work.end.set()
    assert await late == 2


async def test_an_error_reaches_everybody_who_waits() -> None:
    collapse, work = Collapse[str, int](), Work()
    work.error = ValueError("broken")
    waiting = [asyncio.create_task(collapse.run("a", work)) for _ in range(3)]
    await until(lambda: work.begun == 1)
    work.end.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(result) for result in results] == ["broken"] * 3
