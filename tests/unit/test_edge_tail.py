"""A log that another program appends to: every line once, and the file stays short."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwave.edge import tail
from longwave.edge.tail import Tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_what_was_there_before_is_left_out_and_half_a_line_is_waited_for(log: Path) -> None:
    append(log, "old\n")
    with Tail(log) as reading:
        assert reading.read() == []
        append(log, "one\ntwo\nthr")
        assert reading.read() == [b"one", b"two"]
        append(log, "ee\n")
        assert reading.read() == [b"three"]
        assert reading.read() == []


def test_a_file_that_comes_later_is_read_from_its_start(log: Path) -> None:
    with Tail(log) as reading:
        assert reading.read() == []
        append(log, "one\n")
        assert reading.read() == [b"one"]


def test_a_file_that_is_replaced_is_read_to_its_end_and_then_the_new_one(log: Path) -> None:
    append(log, "")
    with Tail(log) as reading:
        append(log, "one\n")
        log.rename(log.with_suffix(".1"))
        append(log.with_suffix(".1"), "two\n")
        append(log, "three\n")
        seen = [line for _ in range(4) for line in reading.read()]
        assert seen == [b"one", b"two", b"three"]


def test_a_file_that_somebody_empties_is_read_on(log: Path) -> None:
    append(log, "")
    with Tail(log) as reading:
        append(log, "one\ntwo\n")
        assert reading.read() == [b"one", b"two"]
        log.write_text("")
        append(log, "new\n")
        assert [line for _ in range(3) for line in reading.read()] == [b"new"]


def test_a_long_file_is_emptied_once_it_is_read_and_no_line_is_lost(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "MAX_BYTES", 10_000)
    monkeypatch.setattr(tail, "_CHUNK", 1_000)
    append(log, "")
    with Tail(log) as reading, log.open("ab", buffering=0) as writing:
        lines = [b"line %06d" % number for number in range(10_000)]
        seen: list[bytes] = []
        largest = 0
        for start in range(0, len(lines), 100):
            writing.write(b"\n".join(lines[start : start + 100]) + b"\n")
            largest = max(largest, log.stat().st_size)
            for _ in range(3):
                seen += reading.read()
        assert seen == lines
        assert largest < 15_000


def test_what_has_no_end_of_line_fills_no_memory(log: Path) -> None:
    append(log, "")
    with Tail(log) as reading:
        append(log, "x" * 300_000)
        assert reading.read() == []
        assert reading._rest == b""
        append(log, "\none\n")
        assert reading.read() == [b"", b"one"]
