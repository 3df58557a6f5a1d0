"""What has happened in a take that lives, on disk, so that a killed server still knows: `events.jsonl`.

One event a line, in the order in which they were appended. A line that was being written when the process or
the machine stopped has no end, and is no event.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast, get_args

import structlog

from contracts.errors import BadRequest
from contracts.take import EventKind, TakeEvent, check_event
from storage.files import disk_errors, make_directory, read_if_there, sync_directory

log = structlog.get_logger()

_KINDS: Final = frozenset(get_args(EventKind))


class EventLog:
    """Appends to one take's file. Used by one thread at a time; blocking. Raises DiskUnavailable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        make_directory(path.parent)
        with disk_errors(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        # What follows the last whole line is cut off by the next append.
        self._end = (read_if_there(path) or b"").rfind(b"\n") + 1
        sync_directory(path.parent)

    def append(self, events: Iterable[TakeEvent]) -> None:
        """Add events, durably: all of them are there when this returns, and after a failure none is."""
        data = b"".join(event_json(event) + b"\n" for event in events)
        if not data:
            return
        with disk_errors(self._path):
            os.ftruncate(self._fd, self._end)
            written = 0
            while written < len(data):
                written += os.pwrite(self._fd, data[written:], self._end + written)
            os.fdatasync(self._fd)
        self._end += len(data)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)


def read_events(path: Path) -> tuple[TakeEvent, ...]:
    """Every event of a file, in order, each once; none where there is no file. Raises DiskUnavailable.

    A line that is damaged is logged and left out: the others are as true as before.
    """
    data = read_if_there(path) or b""
    events: dict[tuple[int, int], TakeEvent] = {}
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            event = parse_event(line)
        except ValueError as error:
            log.warning("a stored event cannot be read", path=str(path), line=number, reason=repr(error))
            continue
        events.setdefault((event.sample, event.n), event)
    return tuple(events.values())


def event_json(event: TakeEvent) -> bytes:
    """An event with its sample and number, as JSON in one line of ASCII: no title can hold what ends it."""
    return json.dumps({"sample": event.sample, "n": event.n, **event.to_json()}).encode()


def parse_event(text: bytes) -> TakeEvent:
    """What `event_json` made, and what can be told on. Raises ValueError for anything else."""
    try:
        obj = json.loads(text)
        sample, n, kind = obj["sample"], obj["n"], obj["kind"]
        title, speakers = obj.get("title", ""), obj.get("speakers", [])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an event: {error!r:.80}") from None
    if not isinstance(kind, str) or kind not in _KINDS or not isinstance(title, str):
        raise ValueError("not an event")
    if not isinstance(speakers, list):
        raise ValueError("not an event: speakers are a list")  # noqa: TRY004 - one error for all nonsense
    try:
        return check_event(
            TakeEvent(sample, n, cast("EventKind", kind), title=title, speakers=tuple(speakers))
        )
    except BadRequest as error:
        raise ValueError(f"not an event: {error.message}") from None
