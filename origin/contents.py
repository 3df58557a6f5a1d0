"""A window as records, and records back into a window: for the journal and for sisters.

Records are put into a window as workers put them, so whatever it refuses cannot come in this way either.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from contracts.position import Position
from contracts.take import TakeEvent, TakeHeader
from origin.journal_format import Record, RecordKind
from pipeline.window.rendition import SERVED_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.take_window import TakeWindow
    from pipeline.window import RenditionWindow


def header_record(header: TakeHeader) -> Record:
    """`take.json`."""
    return Record(RecordKind.HEADER, json.dumps(header.to_json()).encode())


def event_record(event: TakeEvent) -> Record:
    """An event under its sample."""
    payload = json.dumps({"id": event.id, "event": event.to_json()}).encode()
    return Record(RecordKind.EVENT, payload, number=event.sample)


def event_of(record: Record) -> TakeEvent:
    """The event of a record. Raises BadRequest, ValueError, KeyError or TypeError."""
    stored = json.loads(record.payload)
    return TakeEvent.from_json(stored["id"], stored["event"])


def header_of(record: Record) -> TakeHeader:
    """The header of a record. Raises BadRequest or ValueError."""
    return TakeHeader.from_json(json.loads(record.payload))


def contents(window: TakeWindow, start: int = 0) -> list[Record]:
    """Everything that is served of a take, with media from segment `start` on, in the order to put it again.

    The records share their bytes with the window, and stay as they are when it moves on.
    """
    names = list(window.renditions)
    inits = [(index, window.init_bytes(name)) for index, name in enumerate(names)]
    records = [header_record(window.header)]
    records += [Record(RecordKind.INIT, data, index) for index, data in inits if data is not None]
    records += map(event_record, window.events)
    lines = list(window.renditions.values())
    begins = [max(start, _begin(line)) for line in lines]
    for msn in range(min(begins), max(line.next.msn for line in lines) + 1):
        for index, line in enumerate(lines):
            if msn >= begins[index]:
                records += _segment(line, index, msn)
    if window.end_samples is not None:
        records.append(Record(RecordKind.END, number=window.end_samples))
    return records


def put_record(window: TakeWindow, record: Record) -> None:
    """Put what `contents` gave. Raises LongwaveError, or ValueError, KeyError, TypeError on nonsense."""
    name = list(window.renditions)[record.rendition] if record.rendition < len(window.renditions) else ""
    match record.kind:
        case RecordKind.HEADER:
            raise ValueError("a header comes once")
        case RecordKind.INIT:
            window.put_init(name, record.payload)
        case RecordKind.EVENT:
            window.put_event(event_of(record))
        case RecordKind.PART:
            window.put_part(name, record.number, record.part, record.payload)
        case RecordKind.SEGMENT:
            window.put_segment(name, record.number, record.payload)
        case RecordKind.GAP:
            window.put_gap(name, record.number)
        case RecordKind.END:
            window.end(record.number)


def end_anyway(window: TakeWindow, samples: int) -> None:
    """The take has ended, whatever was lost of it: what is missing becomes gaps."""
    wanted = window.grid.end_of(samples)
    for name, line in window.renditions.items():
        while line.first is not None and line.next < wanted:
            window.put_gap(name, line.next.msn)
    window.end(samples)


def _begin(line: RenditionWindow) -> int:
    """The first MSN of what is served without a hole: some of it is not listed any more."""
    first = line.first or 0
    begin = first
    while begin > first - SERVED_AFTER and line.segment_parts(begin - 1) is not None:
        begin -= 1
    return begin


def _segment(line: RenditionWindow, index: int, msn: int) -> Iterator[Record]:
    for part, data in enumerate(line.parts_held(msn)):
        yield Record(RecordKind.PART, data, index, *Position(msn, part))
    if line.is_gap(msn):
        yield Record(RecordKind.GAP, b"", index, msn)
