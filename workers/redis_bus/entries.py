"""What a stream of a take holds, entry by entry. Pure: values to fields and back.

An entry's ID is `<sample after it>-0`, so that a reader asks for a sample by its number. What happens at a
sample, and the end, have the ID `<sample>-<n>`, n = 1, 2, …: they come after the sound before that sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from contracts.take import MAX_SAMPLES, TakeEvent
from storage.event_log import event_json, parse_event

PCM: Final = b"pcm"
SILENCE: Final = b"silence"
GAP: Final = b"gap"
EVENT: Final = b"event"
END: Final = b"end"


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples [start, stop), s16le interleaved."""

    start: int
    stop: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """Samples [start, stop) are zero: their owner decided so."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples [start, stop) are lost for good: while this Redis was gone their owner had to drop them."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, put before the sound that follows it."""

    event: TakeEvent


@dataclass(frozen=True, slots=True)
class Ended:
    """The take has this many samples."""

    samples: int


Entry: TypeAlias = Sound | Silence | Gap | Happened | Ended


def item(entry: Entry) -> tuple[bytes, bytes | int, bytes]:
    """An entry as `append.lua` takes it: kind, the sample after it (none for an event), payload."""
    match entry:
        case Sound(_, stop, pcm):
            return PCM, stop, pcm
        case Silence(_, stop):
            return SILENCE, stop, b""
        case Gap(_, stop):
            return GAP, stop, b""
        case Happened(event):
            return EVENT, b"", event_json(event)
        case Ended(samples):
            return END, samples, b""


def decode(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """An entry as Redis gives it. Raises KeyError or ValueError where it is none of ours."""
    kind, stop = fields[b"kind"], int(entry_id.partition(b"-")[0])
    if stop > MAX_SAMPLES:
        raise ValueError(f"no take has a sample {stop}")
    if kind == EVENT:
        return Happened(parse_event(fields[b"event"]))
    if kind == END:
        return Ended(stop)
    start = int(fields[b"start"])
    if not 0 <= start < stop:
        raise ValueError(f"samples [{start}, {stop}) are none")
    if kind == PCM:
        return Sound(start, stop, fields[b"pcm"])
    if kind == SILENCE:
        return Silence(start, stop)
    if kind == GAP:
        return Gap(start, stop)
    raise ValueError(f"{kind!r:.20} is no kind of entry")
