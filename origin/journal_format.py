"""Records of the window on disk: bytes ↔ values. No files here.

A file is a sequence of records, each

    magic "LWJ1" | kind u8 | rendition u8 | part u16 | number u64 | length u32 | crc32 u32 | payload

big-endian; the CRC covers the 20 bytes before it and the payload. `rendition` counts in the take header's
order; `number` is a sequence number (of an event: its sample; of an end: the take's length in samples). A
reader that meets damage looks for the next magic, so one bad block costs only the records that lie in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUP: Final = 32
"""Sequence numbers in one media file: about a minute, and what eviction deletes at once."""
MAGIC: Final = b"LWJ1"
_FIELDS: Final = Struct(">4sBBHQI")
_CRC: Final = Struct(">I")
_HEAD: Final = _FIELDS.size + _CRC.size


class RecordKind(IntEnum):
    """What a record holds."""

    HEADER = 1
    INIT = 2
    PART = 3
    SEGMENT = 4
    GAP = 5
    EVENT = 6
    END = 7


MEDIA_KINDS: Final = frozenset({RecordKind.PART, RecordKind.SEGMENT, RecordKind.GAP})


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that was put. The payload is JSON in HEADER and EVENT, media in INIT, PART and SEGMENT."""

    kind: RecordKind
    payload: bytes = b""
    rendition: int = 0
    number: int = 0
    part: int = 0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return _HEAD + len(self.payload)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file holds: its good records, where the last one stops, and how many bytes were skipped."""

    records: tuple[Record, ...]
    good_end: int
    damaged: int


def pack(records: Iterable[Record]) -> bytes:
    """Records as they lie in a file."""
    chunks: list[bytes] = []
    for record in records:
        fields = _FIELDS.pack(
            MAGIC, record.kind, record.rendition, record.part, record.number, len(record.payload)
        )
        checksum = crc32(record.payload, crc32(fields))
        chunks += (fields, _CRC.pack(checksum), record.payload)
    return b"".join(chunks)


def scan(data: bytes) -> Scan:
    """Read a file's bytes; what is damaged is stepped over."""
    records: list[Record] = []
    at = good_end = damaged = 0
    while True:
        at = data.find(MAGIC, at)
        if at < 0:
            return Scan(tuple(records), good_end, damaged)
        record = _read(data, at)
        if record is None:
            at += 1
            continue
        damaged += at - good_end
        records.append(record)
        at = good_end = at + record.size


class Unpacker:
    """Records from a line, where nothing is stepped over: a peer that is not understood is not believed.

    Holds at most one record of `max_payload` bytes and what was pushed last.
    """

    def __init__(self, max_payload: int) -> None:
        self._max_payload = max_payload
        self._rest = b""

    def push(self, data: bytes) -> list[Record]:
        """The records that are whole now. Raises ValueError where there is anything else."""
        data = self._rest + data if self._rest else data
        records: list[Record] = []
        at = 0
        while len(data) - at >= _HEAD:
            magic, *_, length = _FIELDS.unpack_from(data, at)
            if magic != MAGIC or length > self._max_payload:
                raise ValueError("these are no records")
            if len(data) - at < _HEAD + length:
                break
            record = _read(data, at)
            if record is None:
                raise ValueError("a record is damaged, or of a kind that is not known here")
            at += record.size
            records.append(record)
        self._rest = data[at:]
        return records


def _read(data: bytes, at: int) -> Record | None:
    """The record at `at`, or None where there is no whole one."""
    start = at + _HEAD
    if start > len(data):
        return None
    _, kind, rendition, part, number, length = _FIELDS.unpack_from(data, at)
    payload = data[start : start + length]
    (checksum,) = _CRC.unpack_from(data, at + _FIELDS.size)
    if len(payload) != length or crc32(payload, crc32(data[at : at + _FIELDS.size])) != checksum:
        return None
    try:
        return Record(RecordKind(kind), payload, rendition, number, part)
    except ValueError:
        return None  # a kind of a later version
