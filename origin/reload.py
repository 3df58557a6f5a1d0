"""From the journal back to windows, before the origin listens.

What the disk lost is a hole: its segments become gaps, and everything after them is kept.
"""

from __future__ import annotations

import json

import structlog

from contracts.errors import LongwaveError
from contracts.position import Position
from contracts.take_state import TakeState
from origin.contents import end_anyway, put_record
from origin.journal import Journal
from origin.journal_format import Record, RecordKind
from origin.journal_store import JournalStore, StoredTake
from origin.live_take import LiveTake
from origin.service import Origin
from pipeline.grid import first_sample, utc_us
from pipeline.take_window import TakeWindow

log = structlog.get_logger()
_US = 1_000_000


def reload(origin: Origin, store: JournalStore, journal: Journal, utc_now_us: int) -> list[TakeState]:
    """Bring back every take on disk. `utc_now_us` is the wall clock: a take's age went on while nobody ran.

    Raises OSError where the directory cannot be listed at all.
    """
    states = []
    for stored in store.load():
        journal.adopt(stored.key)
        take = origin.add(stored.key, stored.header, origin.clock())
        refused = _replay(take.window, stored)
        take.opens()
        age = max(0.0, (utc_now_us - _last_instant_us(take)) / _US)
        take.touched = origin.clock() - age
        states.append(take.window.state())
        log.info(
            "a take is back from the journal",
            room=stored.key.room,
            take=stored.key.take,
            records=len(stored.media),
            refused=refused,
            ended=take.window.ended,
        )
    origin.sweep(origin.clock())
    return states


def _replay(window: TakeWindow, stored: StoredTake) -> int:
    """Put everything again. Returns how many records the window did not take."""
    names = [rendition.name for rendition in stored.header.settings.renditions]
    refused = 0
    for record in _in_order(stored):
        if record.rendition >= len(names):
            refused += 1
            continue
        try:
            _put(window, names[record.rendition], record)
        except (LongwaveError, ValueError, KeyError, TypeError) as error:
            refused += 1
            log.debug("a record of the journal is refused", kind=record.kind.name, reason=repr(error))
    return refused


def _in_order(stored: StoredTake) -> list[Record]:
    """Inits, events, media, and the end last."""
    first = min((record.number for record in stored.media), default=0)
    inits = [record for record in stored.control if record.kind is RecordKind.INIT]
    events = [record for record in stored.control if record.kind is RecordKind.EVENT]
    ends = [record for record in stored.control if record.kind is RecordKind.END]
    return [*inits, *_still_needed(events, first_sample(first)), *stored.media, *ends]


def _still_needed(events: list[Record], start: int) -> list[Record]:
    """Those from sample `start` on, and of each kind the last one before: its range is still running then.

    A window takes only so many at once, and a long take has had more.
    """
    running: dict[str, Record] = {}
    later: list[Record] = []
    for record in sorted(events, key=lambda record: record.number):
        if record.number >= start:
            later.append(record)
        else:
            running[json.loads(record.payload)["event"]["kind"]] = record
    return [*running.values(), *later]


def _put(window: TakeWindow, rendition: str, record: Record) -> None:
    match record.kind:
        case RecordKind.PART | RecordKind.SEGMENT:
            if _close_hole(window, rendition, Position(record.number, record.part)):
                put_record(window, record)
        case RecordKind.GAP:
            _close_hole(window, rendition, Position(record.number, 0))
            put_record(window, record)
        case RecordKind.END:
            end_anyway(window, record.number)
        case _:
            put_record(window, record)


def _close_hole(window: TakeWindow, rendition: str, position: Position) -> bool:
    """Turn what is missing before `position` into gaps. Returns whether the part at `position` can follow."""
    line = window.renditions[rendition]
    if line.first is None:
        return position.part == 0
    while line.next.msn < position.msn:
        window.put_gap(rendition, line.next.msn)
    if line.next.msn == position.msn and line.next.part < position.part:
        window.put_gap(rendition, position.msn)
        return False
    return True


def _last_instant_us(take: LiveTake) -> int:
    """The UTC instant up to which there is sound."""
    window = take.window
    stop = window.end_samples
    if stop is None:
        stop = max(line.stop_sample for line in window.renditions.values())
    return utc_us(take.header.epoch_us, stop)
