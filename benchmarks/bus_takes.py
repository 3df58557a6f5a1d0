"""Takes that several processes know alike, and an owner that fills them in real time without a mixer.

Every process makes the same takes from their number and `base`, a monotonic instant in microseconds: on one
machine that clock is the same for all processes. A take's `epoch_us` is the instant of its sample 0 on that
clock, so whoever gets a part knows how old its last sample is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.sound import loop
from contracts.take import TakeHeader, TakeKey, TakeSettings
from pipeline.grid import BLOCK
from workers.take_clock import TakeClock, block_ns
from workers.take_memo import TakeMemo
from workers.ticker import ticks

if TYPE_CHECKING:
    from workers.memory_bus import MemoryHub, MemoryTakeBus

SPREAD_SECONDS: Final = 2.0
"""Within which all takes begin, evenly: rooms do not beat together."""
# As the ingest of a process has it: it looks every 5 ms.
_BLOCK: Final = BLOCK // 4
_TAKE: Final = "20260101T000000Z-abc234"


def key_of(index: int) -> TakeKey:
    """The take number `index`."""
    return TakeKey(f"room-{index}", _TAKE)


def index_of(room: str) -> int:
    """Which number the take of a room has."""
    return int(room.rpartition("-")[2])


def header_of(index: int, rooms: int, base: int) -> TakeHeader:
    """Its header: mono, 64k, 5 parts, and the instant at which it begins."""
    epoch_us = base + round(1e6 * SPREAD_SECONDS * index / rooms)
    return TakeHeader(epoch_us=epoch_us, settings=TakeSettings(), encoder="benchmark")


class Feeder:
    """Fills `rooms` takes of `hub` as their owners would: see `workers.bus.TakeBus`.

    Sound that flows is written in runs of 20 ms, or as soon as the sample is there that somebody waits for,
    in steps of 5 ms (`workers.owner.TakeOwner`).
    """

    def __init__(self, hub: MemoryHub, rooms: int, base: int) -> None:
        self._hub = hub
        self._sound = loop().astype("<i2").tobytes()
        self._headers = [header_of(index, rooms, base) for index in range(rooms)]
        self._takes: list[tuple[TakeClock, MemoryTakeBus, int]] = []

    async def run(self) -> None:
        """Feed for ever."""
        async for now_ns, _ in ticks(time.monotonic_ns, block_ns(_BLOCK)):
            self._open(now_ns)
            for clock, bus, offset in self._takes:
                self._fill(bus, clock.blocks_over(now_ns) * _BLOCK, offset)

    def _open(self, now_ns: int) -> None:
        """Takes begin when it is their time."""
        for index in range(len(self._takes), len(self._headers)):
            header = self._headers[index]
            zero_ns = header.epoch_us * 1000
            if zero_ns > now_ns:
                return
            bus = self._hub.open(key_of(index), header)
            self._takes.append((TakeClock(zero_ns, _BLOCK), bus, index * 37 * BLOCK))

    def _fill(self, bus: MemoryTakeBus, due: int, offset: int) -> None:
        if due - bus.top < BLOCK and (bus.wanted is None or bus.wanted > due):
            return
        while bus.top < due:
            begin = 2 * (bus.top + offset) % len(self._sound)
            run = 2 * min(due - bus.top, BLOCK)
            bus.append(bus.top, self._sound[begin : begin + run])


class EveryRoom:
    """The owner of all rooms, as a writer asks for it (`workers.redis_bus.claimed_rooms.ClaimedRooms`)."""

    def __init__(self, rooms: int, base: int) -> None:
        self._memos = [TakeMemo(header_of(index, rooms, base), 1) for index in range(rooms)]

    def generation(self, room: str) -> int | None:  # noqa: ARG002 - all of them alike
        """The first one."""
        return 1

    def memo(self, key: TakeKey) -> TakeMemo | None:
        """Its header, and that nothing happened."""
        return self._memos[index_of(key.room)]

    def closed(self, key: TakeKey) -> None:
        """As it should be."""

    def deposed(self, room: str, generation: int) -> None:
        """Nobody else is there."""
        raise RuntimeError(f"generation {generation} of {room} is not ours")
