"""Keeps live takes on disk without ever making one wait; `TakeWriter` writes what is newest, in a thread.

What happens in a take is appended as it happens; when the take is over, and this end is the one that counts,
its story is put into the storage (`story.json`), and only then is it forgotten here.

A number is reserved 0.8 s before its segment begins. If the disk does not manage it in time, the segment
begins all the same; that is counted, and `degraded` says so for as long as it lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeHeader, TakeKey
from pipeline.grid import SAMPLE_RATE, SEGMENT
from pipeline.mix.loudness import LoudnessBin
from workers.bus import BusHub
from workers.guest_list import HostOrders
from workers.kept_take import KeptTake
from workers.storyteller import Storyteller
from workers.take_store import Reservation, StoredTake, TakeStore
from workers.take_writer import TakeWriter

LEAD: Final = SAMPLE_RATE * 4 // 5
HEARTBEAT: Final = SAMPLE_RATE
# Before this sample of a take no part can have left, and a crash leaves nothing of it anywhere.
_FIRST_PART: Final = SAMPLE_RATE // 5
# What a start and an end wait for their disk, before they go on without.
_SECURE_SECONDS: Final = 1.0
# How long an end that every origin has stays stored: their own disks have it only some moments later.
_LINGER_SECONDS: Final = 5.0
# What a server that goes down waits for its disk.
_LAST_WORDS_SECONDS: Final = 2.0


class TakeKeeper:
    """The live takes of a process, kept in `store`; when they are over, `storyteller` tells what happened.

    A take that is published to its end is forgotten `linger` seconds later, and not while `remembered` says
    that origins have trouble with their disks: an origin that a crash robs of an end would wait for ever.
    """

    def __init__(
        self,
        store: TakeStore,
        storyteller: Storyteller,
        metrics: Metrics,
        *,
        linger: float = _LINGER_SECONDS,
        remembered: Callable[[], bool] = lambda: True,
    ) -> None:
        self._writer = TakeWriter(store, storyteller)
        self._metrics = metrics
        self._linger = linger
        self._remembered = remembered
        self._takes: dict[TakeKey, KeptTake] = {}

    @property
    def degraded(self) -> str | None:
        """What is wrong with the disk, as far as takes are concerned."""
        for kept in self._takes.values():
            if kept.trouble is not None:
                return kept.trouble
        return None

    def keeps(self, key: TakeKey) -> bool:
        """Whether the take goes on here, or its story is still to be told."""
        kept = self._takes.get(key)
        return kept is not None and not kept.over

    async def stored(self) -> list[StoredTake]:
        """The takes that the last process left. Raises StorageUnavailable."""
        return await self._writer.stored()

    def keep(
        self, key: TakeKey, header: TakeHeader, stored: Reservation | None = None, *, generation: int = 0
    ) -> None:
        """Keep a take that is written here from now on, with this generation, or one that was `stored`."""
        before = self._takes.get(key)
        kept = self._takes[key] = KeptTake(key, header, stored, generation)
        if stored is None:
            kept.news.set()
        kept.task = asyncio.create_task(self._follow(kept, before), name=f"keep {key.take}")

    async def secure(self, key: TakeKey, top: int, generation: int = 0) -> None:
        """Reserve what is needed up to `top` and a little more, if the disk does it within a second.

        So long it takes, too, until the disk knows the `generation` with which the take is written.
        """
        kept = self._takes[key]
        reserved = max(kept.wanted.reserved, (top + LEAD) // SEGMENT + 1)
        generation = max(kept.wanted.generation, generation)
        self._want(kept, replace(kept.wanted, reserved=reserved, generation=generation, ended=False))
        await _written(kept, lambda: kept.safe >= reserved and kept.safe_generation >= generation)

    def note(self, key: TakeKey, top: int, *, named: bool) -> int:
        """The bus has reached `top`: reserve the next segment in time, give a sign of life each second.

        Returns the sample at which there is something to note again.
        """
        kept = self._takes[key]
        wanted = kept.wanted
        reserved = max(wanted.reserved, (top + LEAD) // SEGMENT + 1)
        if reserved > wanted.reserved or top >= wanted.heartbeat + HEARTBEAT or named != wanted.named:
            self._want(kept, Reservation(reserved, top, named=named, generation=wanted.generation))
        safe = max(SEGMENT * kept.safe, _FIRST_PART)
        if top > safe and kept.late_msn != top // SEGMENT:
            kept.late_msn = top // SEGMENT
            if not kept.trouble:
                kept.say("takes: segments begin before their numbers are reserved on disk")
            self._metrics.reservation_late.inc()
        late_at = max(safe, SEGMENT * (kept.late_msn + 1)) + 1
        return min(kept.wanted.heartbeat + HEARTBEAT, SEGMENT * kept.wanted.reserved - LEAD, late_at)

    def tell(self, key: TakeKey, events: Collection[TakeEvent], orders: HostOrders) -> None:
        """`events` have happened since this was said last, and these are the host's `orders` now."""
        kept = self._takes.get(key)
        if kept is not None and (events or orders != kept.orders):
            kept.events.extend(events)
            kept.orders = orders
            kept.news.set()

    def measured(self, key: TakeKey, loudness: tuple[LoudnessBin, ...]) -> None:
        """How loud the take was so far; what a crash loses of it makes the figure of the whole less exact."""
        kept = self._takes.get(key)
        if kept is not None and loudness:
            kept.loudness = loudness
            kept.news.set()

    def ended(self, key: TakeKey, sample: int, *, final: bool) -> None:
        """The take ended at `sample`; kept until `forget`, so that a crash does not lose the end.

        Its story is told once this is `final`: whoever tells it first is believed.
        """
        kept = self._takes.get(key)
        if kept is not None:
            kept.final = final
            self._want(kept, replace(kept.wanted, heartbeat=sample, ended=True, named=False))

    def settle(self, final: Callable[[TakeKey], bool]) -> None:
        """Tell of takes that are over, as soon as their ends are `final`."""
        for key, kept in self._takes.items():
            if kept.wanted.ended and not kept.final and final(key):
                kept.final = True
                kept.news.set()

    async def secure_end(self, key: TakeKey) -> None:
        """Return when the take's end is on disk, or after a second: nobody is told of it before."""
        kept = self._takes.get(key)
        if kept is not None:
            await _written(kept, lambda: kept.safe_end)

    def forget(self, key: TakeKey) -> None:
        """The take is published to its end."""
        kept = self._takes.get(key)
        if kept is not None:
            kept.done = True
            kept.news.set()

    def abandon(self, key: TakeKey) -> None:
        """The take is another ingest's: nothing of it stays here, and its story is told there.

        One whose end here was final is told of here.
        """
        kept = self._takes.get(key)
        if kept is not None:
            kept.done = True
            kept.told |= not kept.final
            kept.news.set()

    async def forget_published(self, hub: BusHub) -> None:
        """Forget, for ever, whatever ended and is not on the bus any more: it was published to its end."""
        ended: set[TakeKey] = set()
        seen = -1
        while True:
            seen = await hub.changed(seen)
            there = {bus.key: bus.ended for bus in hub.live()}
            for key in ended - there.keys():
                self._forget_later(key)
            ended = {key for key, end in there.items() if end is not None}

    async def close(self) -> None:
        """Write what is newest, as far as the disk does it at once; the takes stay stored."""
        tasks = []
        for kept in self._takes.values():
            kept.closing = True
            kept.news.set()
            tasks.append(kept.task)
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=_LAST_WORDS_SECONDS)
            for task in stuck:
                task.cancel()
        self._takes.clear()
        self._writer.close()

    def _forget_later(self, key: TakeKey) -> None:
        asyncio.get_running_loop().call_later(self._linger, self._forget_if_remembered, key)

    def _forget_if_remembered(self, key: TakeKey) -> None:
        if self._remembered():
            self.forget(key)
        elif key in self._takes:
            self._forget_later(key)

    def _want(self, kept: KeptTake, reservation: Reservation) -> None:
        kept.wanted = reservation
        kept.news.set()

    async def _follow(self, kept: KeptTake, before: KeptTake | None) -> None:
        """A take that was given up and comes back waits until what was there `before` is removed."""
        if before is not None:
            await asyncio.wait([before.task])
        await self._writer.follow(kept)
        if kept.over and self._takes.get(kept.key) is kept:
            del self._takes[kept.key]


async def _written(kept: KeptTake, enough: Callable[[], bool]) -> None:
    """Wait for the disk, a second at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SECURE_SECONDS):
            while not enough():
                kept.written.clear()
                await kept.written.wait()
