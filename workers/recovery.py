"""Takes that go on: after a crash or a restart of this ingest, or where another ingest left them.

What the bus has of a take is final, so the take goes on at the bus's top. A take that only the disk knows
goes on above everything that may have been served. One that cannot go on ends where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from contracts.errors import DiskUnavailable
from contracts.take import TakeEvent, TakeHeader, TakeKey
from pipeline.grid import SAMPLE_RATE, sample_at
from workers.bus import BusHub
from workers.claims import Claim, Continued, RoomClaims
from workers.owner import Before, TakeOwner
from workers.take_clock import Clocks, TakeClock
from workers.take_keeper import TakeKeeper
from workers.take_memo import TakeMemo
from workers.take_store import Ended, GoOn, StoredTake, after_restart

log = structlog.get_logger()

# Clocks of two machines differ, and one may have been set back a little: the owner waits for so long.
_BACK_AT_MOST: Final = SAMPLE_RATE


def fate(found: Continued, wall_us: int, idle_samples: int, stored: StoredTake | None = None) -> GoOn | Ended:
    """What becomes of a take whose end the bus has not, at `wall_us` (microseconds, UTC).

    `stored` is what the disk has of it.
    """
    if found.memo.ended is not None:
        return Ended(max(found.top, found.memo.ended), "it was ended before")
    if stored is not None and stored.reservation.ended and found.top <= stored.reservation.heartbeat:
        return Ended(stored.reservation.heartbeat, "it was ended before")
    now = sample_at(found.memo.header.epoch_us, wall_us)
    if now < found.top - _BACK_AT_MOST:
        return Ended(found.top, "the clock is behind it")
    # The disk may know that it was attended to while no bus took any of it.
    last = max(found.top, 0 if stored is None else stored.reservation.heartbeat)
    if now - last > idle_samples:
        return Ended(found.top, "nobody owned it for longer than the idle timeout")
    return GoOn(found.top)


@dataclass(frozen=True, slots=True)
class _Past:
    """A take that does not begin here. `generation` is that of this ingest's claim to its room.

    `told` is what was said on the bus, or should have been: a Redis that has less of it gets it again.
    """

    key: TakeKey
    header: TakeHeader
    generation: int
    before: Before
    told: Collection[TakeEvent] = ()

    def memo(self, ended: int) -> TakeMemo:
        """What is known of it when it is over."""
        before = self.before
        loudness = tuple(before.loudness)
        return TakeMemo(self.header, self.generation, before.named, before.orders, loudness, ended)


class Recovery:
    """Takes up what others left. `idle_samples`: for longer than that no take was without an owner."""

    def __init__(
        self, hub: BusHub, keeper: TakeKeeper, claims: RoomClaims, clocks: Clocks, idle_samples: int
    ) -> None:
        self._hub = hub
        self._keeper = keeper
        self._claims = claims
        self._clocks = clocks
        self._idle_samples = idle_samples

    async def stored(self) -> dict[str, list[StoredTake]]:
        """The takes that the last process left, by their rooms, newest first; kept from here on."""
        try:
            stored = await self._keeper.stored()
        except DiskUnavailable as error:
            log.warning("live takes cannot be read", reason=error.message)
            return {}
        rooms: dict[str, list[StoredTake]] = {}
        for take in reversed(stored):
            self._keeper.keep(take.key, take.header, take.reservation)
            rooms.setdefault(take.key.room, []).append(take)
        return rooms

    async def take_up(self, claim: Claim, stored: Sequence[StoredTake]) -> TakeOwner | None:
        """The owner of the room's take, if one goes on; all others are over, on the bus with their end.

        Raises BusUnavailable.
        """
        mine = {take.key: take for take in stored}
        known = {key: await self._claims.recall(key) for key in mine}
        going = None
        if claim.take is not None:
            going = await self._from_bus(claim, claim.take, mine.pop(claim.take.key, None))
        for take in mine.values():
            found = known[take.key]
            if found is None:
                going = await self._from_disk(claim, take, going) or going
            elif going is None or found.over or take.reservation.ended:
                going = await self._from_bus(claim, found, take) or going
            else:
                self._keeper.abandon(take.key)  # another take of the room lives
        return going

    async def leave(self, stored: Sequence[StoredTake]) -> None:
        """Let go of takes whose room is another ingest's. Those that are over may be told of only here.

        Raises BusUnavailable.
        """
        known = {take.key: await self._claims.recall(take.key) for take in stored if take.reservation.ended}
        for take in stored:
            found = known.get(take.key)
            if not take.reservation.ended or (found is not None and not found.closed):
                self._keeper.abandon(take.key)  # it lives there
            elif found is None:  # long delivered, and forgotten by the bus
                self._keeper.ended(take.key, take.reservation.heartbeat, final=True)
                self._keeper.forget(take.key)
            else:
                self.tell(replace(found, events=_together(take, found)))

    def tell(self, found: Continued) -> None:
        """Keep a take that is closed until its story is told."""
        self._keep(_past(found, found.memo.generation))
        self._keeper.ended(found.key, found.top, final=True)
        self._keeper.forget(found.key)

    def close(self, found: Continued, generation: int) -> None:
        """End a take of a room that is held here, where the bus has it, and tell its story."""
        past = _past(found, generation)
        self._keep(past)
        self._end(past, Ended(max(found.top, found.memo.ended or 0), "nobody attended to it"))

    async def _from_bus(self, claim: Claim, found: Continued, stored: StoredTake | None) -> TakeOwner | None:
        found = replace(found, events=_together(stored, found))
        if found.closed:
            self.tell(found)
            return None
        past = _past(found, claim.generation)
        self._keep(past)
        decided = fate(found, self._clocks.wall_us(), self._idle_samples, stored)
        if isinstance(decided, Ended):
            self._end(past, decided)
            return None
        owner = await self._go_on(past, decided)
        if owner is not None:
            owner.tick(self._clocks.monotonic_ns())  # the time without an owner is silence, whoever comes now
        return owner

    async def _from_disk(self, claim: Claim, take: StoredTake, going: TakeOwner | None) -> TakeOwner | None:
        before = Before(take.reservation.named, take.orders, take.events, take.loudness)
        past = _Past(take.key, take.header, claim.generation, before)
        decided = after_restart(take, self._clocks.wall_us(), self._idle_samples)
        if going is not None and isinstance(decided, GoOn):
            decided = Ended(take.reservation.heartbeat, "a newer take of the room lives")
        if isinstance(decided, Ended):
            self._end(past, decided)
            return None
        return await self._go_on(past, decided)

    def _keep(self, past: _Past) -> None:
        if not self._keeper.keeps(past.key):
            self._keeper.keep(past.key, past.header, generation=past.generation)
        self._keeper.tell(past.key, past.before.events, past.before.orders)
        self._keeper.measured(past.key, tuple(past.before.loudness))

    def _end(self, past: _Past, end: Ended) -> None:
        self._claims.note(past.key, past.memo(end.sample))
        self._hub.open(past.key, past.header, end.sample).end(end.sample)
        self._keeper.ended(past.key, end.sample, final=self._claims.accepted(past.key))
        log.info("take ended without an owner", room=past.key.room, take=past.key.take, why=end.why)

    async def _go_on(self, past: _Past, decided: GoOn) -> TakeOwner | None:
        """None where another ingest took the room over meanwhile."""
        key, epoch_us = past.key, past.header.epoch_us
        # What a take begins to use now is on disk before it does: another crash may follow at once.
        now = sample_at(epoch_us, self._clocks.wall_us())
        await self._keeper.secure(key, max(decided.first, now), past.generation)
        if self._claims.generation(key.room) != past.generation:
            self._keeper.abandon(key)
            return None
        now_ns = self._clocks.monotonic_ns()
        clock = TakeClock.resumed(epoch_us, self._clocks.wall_us(), now_ns, self._clocks.block)
        bus = self._hub.open(key, past.header, decided.first)
        bus.append_silence(bus.top, -bus.top % self._clocks.block)
        for event in past.told:
            if event.sample <= bus.top:
                bus.append_event(event)
        log.info("take goes on", room=key.room, take=key.take, first=decided.first)
        return TakeOwner(bus, clock, now_ns, past.before)


def _past(found: Continued, generation: int) -> _Past:
    memo = found.memo
    before = Before(memo.named, memo.orders, found.events, memo.loudness)
    return _Past(found.key, memo.header, generation, before, found.events)


def _together(stored: StoredTake | None, found: Continued) -> tuple[TakeEvent, ...]:
    """What happened, as the bus was told, and what only the disk knows of it."""
    unique = {(event.sample, event.n): event for event in found.events}
    for event in () if stored is None else stored.events:
        if event.sample <= found.top:
            unique.setdefault((event.sample, event.n), event)
    return tuple(unique.values())
