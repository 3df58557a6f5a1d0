"""After a crash or a restart: the takes that the last process left are taken up, or ended where they were."""

from __future__ import annotations

import asyncio

import structlog

from contracts.errors import DiskUnavailable
from pipeline.grid import sample_at
from workers.bus import BusHub
from workers.owner import Before, TakeOwner
from workers.story import connected
from workers.take_clock import Clocks, TakeClock
from workers.take_keeper import TakeKeeper
from workers.take_store import Ended, GoOn, StoredTake, after_restart

log = structlog.get_logger()


async def recovered(keeper: TakeKeeper, hub: BusHub, clocks: Clocks, idle_samples: int) -> list[TakeOwner]:
    """Owners of the takes that go on, one for a room at most. The others are on the bus with their end.

    What a take begins to use now is on disk before it does: another crash may follow at once.
    """
    try:
        stored = await keeper.stored()
    except DiskUnavailable as error:
        log.warning("live takes cannot be read", reason=error.message)
        return []
    wall_us = clocks.wall_us()
    going: dict[str, tuple[StoredTake, GoOn]] = {}
    for take in reversed(stored):  # newest first
        keeper.keep(take.key, take.header, take.reservation)
        fate = after_restart(take, wall_us, idle_samples)
        if isinstance(fate, GoOn) and take.key.room in going:
            fate = Ended(take.reservation.heartbeat, "a newer take of the room lives")
        if isinstance(fate, GoOn):
            going[take.key.room] = (take, fate)
        else:
            _end(keeper, hub, take, fate)
    await asyncio.gather(*(_secure(keeper, take, fate, wall_us) for take, fate in going.values()))
    return [_go_on(hub, clocks, take, fate) for take, fate in going.values()]


def _end(keeper: TakeKeeper, hub: BusHub, take: StoredTake, fate: Ended) -> None:
    hub.open(take.key, take.header, fate.sample).end(fate.sample)
    keeper.ended(take.key, fate.sample)
    log.info("take ended while the server was down", room=take.key.room, take=take.key.take, why=fate.why)


async def _secure(keeper: TakeKeeper, take: StoredTake, fate: GoOn, wall_us: int) -> None:
    await keeper.secure(take.key, max(fate.first, sample_at(take.header.epoch_us, wall_us)))


def _go_on(hub: BusHub, clocks: Clocks, take: StoredTake, fate: GoOn) -> TakeOwner:
    now_ns = clocks.monotonic_ns()
    clock = TakeClock.resumed(take.header.epoch_us, clocks.wall_us(), now_ns, clocks.block)
    bus = hub.open(take.key, take.header, fate.first)
    log.info("take goes on", room=take.key.room, take=take.key.take, first=fate.first)
    before = Before(take.reservation.named, take.orders, connected(take.events), take.loudness)
    return TakeOwner(bus, clock, now_ns, before)
