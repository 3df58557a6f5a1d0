"""Live takes on disk, so that a killed server goes on with them: `DATA/takes/{room}/{take}/`.

`take.json` is the header, immutable; `events.jsonl` is what happened so far, `orders.json` what the host has
ordered, `loudness.json` what was measured until a few seconds ago. `reserved` is a record of fixed size that
is overwritten in place, which needs no new space on a full disk: two slots, a block of the disk apart,
written in turn. A write that is torn by a crash leaves the other slot, and what it says was true when it was
written.

While a take lives, no sample of segment n reaches the bus before "n is reserved" is on disk. After a crash
every URL below the reservation may lie in a cache, and no URL from it on was ever served: the take goes on
there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from contracts.errors import DiskUnavailable, LongwaveError
from contracts.ids import check_room, check_take
from contracts.take import TakeEvent, TakeHeader, TakeKey
from pipeline.grid import SAMPLE_RATE, SEGMENT, sample_at
from pipeline.mix.loudness import LoudnessBin, LoudnessMeter
from storage.aside import write_atomic
from storage.event_log import EventLog, read_events
from storage.files import disk_errors, read_if_there, sync_directory
from workers.guest_list import NO_ORDERS, HostOrders

log = structlog.get_logger()

_SLOT: Final = struct.Struct("<4sQQQQ")
_CRC: Final = struct.Struct("<I")
_MAGIC: Final = b"LWR1"
_ENDED: Final = 1
_NAMED: Final = 2
# Above the flags lies the generation.
_GENERATION_SHIFT: Final = 8
# The largest block that a disk writes at once; a torn one cannot reach into its neighbour.
_SLOT_SPACING: Final = 4096
_FILE_SIZE: Final = 2 * _SLOT_SPACING
_BACK_AT_MOST: Final = SAMPLE_RATE
"""A clock that was set back by less than a second is not worth ending a take for: the owner waits."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Segments below `reserved` may be in use, and the bus had reached the sample `heartbeat`.

    `ended`: it ended there. `named`: listeners were told that somebody speaks. `generation` is that of the
    claim with which it was written last: of a Redis that has lost its memory, the next one is above it.
    """

    reserved: int
    heartbeat: int = 0
    ended: bool = False
    named: bool = False
    generation: int = 0


@dataclass(frozen=True, slots=True)
class StoredTake:
    """A take that was live, or ended and not published to its end, when the last process stopped."""

    key: TakeKey
    header: TakeHeader
    reservation: Reservation
    events: tuple[TakeEvent, ...] = ()
    orders: HostOrders = NO_ORDERS
    loudness: tuple[LoudnessBin, ...] = ()


@dataclass(frozen=True, slots=True)
class GoOn:
    """The take lives on; its next sample is `first`."""

    first: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The take ended at its last sample that is known; `why` is for the log."""

    sample: int
    why: str


def after_restart(stored: StoredTake, wall_us: int, idle_samples: int) -> GoOn | Ended:
    """What becomes of a stored take when a process starts at `wall_us` (microseconds, UTC)."""
    reservation = stored.reservation
    now = sample_at(stored.header.epoch_us, wall_us)
    if reservation.ended:
        return Ended(reservation.heartbeat, "it was ended before")
    if now < reservation.heartbeat - _BACK_AT_MOST:
        return Ended(reservation.heartbeat, "the clock went backwards")
    if now - reservation.heartbeat > idle_samples:
        return Ended(reservation.heartbeat, "it was down for longer than the idle timeout")
    # The disk may have been too slow for the reservation; a heartbeat above it is known to have been used.
    return GoOn(SEGMENT * max(reservation.reserved, reservation.heartbeat // SEGMENT + 1))


class TakeStore:
    """The live takes of one data directory. Blocking: call it from a thread. Raises DiskUnavailable."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, key: TakeKey, header: TakeHeader, reservation: Reservation) -> TakeFile:
        """Add a take, durably; its reservation is written before its header makes it one."""
        directory = self._directory(key)
        with disk_errors(directory):
            write_atomic(directory / "reserved", _slot(1, reservation).ljust(_FILE_SIZE, b"\0"))
            header_json = json.dumps(header.to_json()).encode() + b"\n"
            write_atomic(directory / "take.json", header_json)
            return TakeFile(directory / "reserved")

    def open(self, key: TakeKey) -> TakeFile:
        """The reservation of a take that is there already."""
        return TakeFile(self._directory(key) / "reserved")

    def stored(self) -> list[StoredTake]:
        """Every take that is there, oldest first; what cannot be read is logged and left alone."""
        takes = []
        with disk_errors(self._root):
            found = sorted(self._root.glob("*/*/take.json"), key=lambda path: path.parent.name)
        for path in found:
            try:
                takes.append(_load(path.parent))
            except (LongwaveError, ValueError, KeyError, RecursionError) as error:
                log.warning("a stored take cannot be read", path=str(path.parent), reason=str(error))
        return takes

    def event_log(self, key: TakeKey) -> EventLog:
        """What happens in a take that is there, to be appended to."""
        return EventLog(self._directory(key) / "events.jsonl")

    def events(self, key: TakeKey) -> tuple[TakeEvent, ...]:
        """All that has happened in a take so far."""
        return read_events(self._directory(key) / "events.jsonl")

    def put_orders(self, key: TakeKey, orders: HostOrders) -> None:
        """Keep what the host has ordered in a take that is there, in place of what was ordered before."""
        write_atomic(self._directory(key) / "orders.json", json.dumps(orders.to_json()).encode() + b"\n")

    def put_loudness(self, key: TakeKey, bins: Sequence[LoudnessBin]) -> None:
        """Keep what was measured of a take that is there, in place of what was before."""
        write_atomic(self._directory(key) / "loudness.json", json.dumps(bins).encode() + b"\n")

    def loudness(self, key: TakeKey) -> tuple[LoudnessBin, ...]:
        """What was measured of a take; nothing where that cannot be read."""
        return _loudness(self._directory(key))

    def forget(self, key: TakeKey) -> None:
        """Remove a take that is published to its end; one that is not there is fine."""
        directory = self._directory(key)
        with disk_errors(directory):
            if directory.exists():
                # Without a header it is no take any more, even if the rest of this is cut short.
                (directory / "take.json").unlink(missing_ok=True)
                shutil.rmtree(directory)
                sync_directory(directory.parent)
            with contextlib.suppress(OSError):  # other takes of the room are there
                directory.parent.rmdir()

    def _directory(self, key: TakeKey) -> Path:
        return self._root / key.room / key.take


class TakeFile:
    """The reservation of one take, overwritten in place. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors(path):
            self._fd = os.open(path, os.O_RDWR)
        try:
            self._counter, self.last = _newest(path)
        except DiskUnavailable:
            self.close()
            raise

    def write(self, reservation: Reservation, *, sync: bool) -> None:
        """Replace the record. Without `sync` it survives the process, but not the machine."""
        self._counter += 1
        slot = _slot(self._counter, reservation)
        with disk_errors(self._path):
            os.pwrite(self._fd, slot, (self._counter + 1) % 2 * _SLOT_SPACING)
            if sync:
                os.fdatasync(self._fd)
        self.last = reservation

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)


def _slot(counter: int, reservation: Reservation) -> bytes:
    flags = _ENDED * reservation.ended | _NAMED * reservation.named
    flags |= reservation.generation << _GENERATION_SHIFT
    body = _SLOT.pack(_MAGIC, counter, reservation.reserved, reservation.heartbeat, flags)
    return body + _CRC.pack(zlib.crc32(body))


def _newest(path: Path) -> tuple[int, Reservation]:
    """The counter and content of the newest slot that is whole."""
    data = read_if_there(path) or b""
    slots = []
    for offset in (0, _SLOT_SPACING):
        body = data[offset : offset + _SLOT.size]
        crc = data[offset + _SLOT.size : offset + _SLOT.size + _CRC.size]
        if len(crc) == _CRC.size and _CRC.unpack(crc)[0] == zlib.crc32(body):
            magic, counter, reserved, heartbeat, flags = _SLOT.unpack(body)
            if magic == _MAGIC:
                ended, named = bool(flags & _ENDED), bool(flags & _NAMED)
                generation = flags >> _GENERATION_SHIFT
                slots.append((counter, Reservation(reserved, heartbeat, ended, named, generation)))
    if not slots:
        raise DiskUnavailable(f"{path}: no whole record; remove its directory to give this take up")
    return max(slots, key=lambda slot: slot[0])


def _load(directory: Path) -> StoredTake:
    key = TakeKey(check_room(directory.parent.name), check_take(directory.name))
    with disk_errors(directory):
        header_json = (directory / "take.json").read_bytes()
    header = TakeHeader.from_json(json.loads(header_json))
    reservation = _newest(directory / "reserved")[1]
    events = read_events(directory / "events.jsonl")
    return StoredTake(key, header, reservation, events, _orders(directory), _loudness(directory))


def _orders(directory: Path) -> HostOrders:
    """What the host had ordered; nothing where that cannot be read: a take goes on all the same."""
    path = directory / "orders.json"
    data = read_if_there(path)
    try:
        return NO_ORDERS if data is None else HostOrders.from_json(json.loads(data))
    except (LongwaveError, ValueError, RecursionError) as error:
        log.warning("the host's orders cannot be read", path=str(path), reason=str(error))
        return NO_ORDERS


def _loudness(directory: Path) -> tuple[LoudnessBin, ...]:
    """What a meter can go on with; nothing where that cannot be read: only the figure is less exact."""
    path = directory / "loudness.json"
    try:
        data = read_if_there(path)
        bins = tuple(LoudnessBin(int(i), int(n), float(e)) for i, n, e in json.loads(data or b"[]"))
        LoudnessMeter(1).resume(bins)
    except (LongwaveError, ValueError, TypeError, RecursionError) as error:
        log.warning("the loudness so far cannot be read", path=str(path), reason=str(error))
        return ()
    return bins
