"""What lives: the takes that the buses list, as one list that outlives the loss of any of them.

A take is on the list when some Redis lists it, and leaves it when a worker has said that origins have all of
it. A Redis that is gone, or comes back empty, takes nothing off: only what none of those in reach has listed
for ten minutes is forgotten.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import BusUnavailable
from workers.cluster.failure_reports import NOTHING_REPORTED, Reported, all_reported
from workers.cluster.listing import Facts, Held, Listing
from workers.complaints import Complaints
from workers.news import News
from workers.redis_bus import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from contracts.take import TakeKey
    from workers.redis_bus.links import RedisLink
    from workers.take_memo import TakeMemo

logger = structlog.get_logger()

_EVERY: Final = 0.4
# However much is new: takes that begin together are found together.
_AT_MOST_EVERY: Final = 0.05
_SETTLED: Final = keys.OWNER_TTL_MS / 1000
_FORGOTTEN_AFTER: Final = keys.EXPIRES_SECONDS
# So many are remembered as delivered: a Redis that was away, and lists them still, is told.
_DELIVERED_HELD: Final = 10_000


@dataclass(frozen=True, slots=True)
class ListedTake:
    """A take that lives, or is to be delivered yet. `memo` lacks the loudness; `failures` is of all nodes."""

    key: TakeKey
    memo: TakeMemo
    failures: Reported = NOTHING_REPORTED


class Directory(News):
    """Follows the lists of all `links`; any change of `takes` is news. `clock` is monotonic seconds."""

    def __init__(self, links: Sequence[RedisLink], *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._listings = {Listing(link): asyncio.Event() for link in links}
        self._takes: dict[TakeKey, ListedTake] = {}
        # Since when a take is on no list; since when a Redis lists one that it knows nothing of.
        self._missing: dict[TakeKey, float] = {}
        self._hollow: dict[tuple[Listing, TakeKey], float] = {}
        self._delivered: dict[TakeKey, None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._first_look = asyncio.Event()
        self._complaints = Complaints()

    @property
    def takes(self) -> Mapping[TakeKey, ListedTake]:
        """What lives, or is to be delivered yet."""
        return MappingProxyType(self._takes)

    async def looked(self) -> None:
        """Return once any Redis has said what lives."""
        await self._first_look.wait()

    # ------------------------------------------------------------ keeping up

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """The tasks that follow the lists, one for each Redis, which never return by themselves."""
        return tuple(self._tasks)

    def start(self) -> None:
        """Follow the lists from now on. Needs a running event loop."""
        for listing, wake in self._listings.items():
            name = f"directory {listing.link.name}"
            self._tasks.append(asyncio.create_task(self._keep(listing, wake), name=name))

    async def stop(self) -> None:
        """Follow them no more; what is known stays."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Look at once: something has changed."""
        for wake in self._listings.values():
            wake.set()

    async def refresh(self) -> None:
        """Look once, everywhere. No error of Redis comes out of here."""
        await asyncio.gather(*map(self._refresh, self._listings))

    async def _keep(self, listing: Listing, wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            try:
                await self._refresh(listing)
            except Exception as error:
                # A bug of ours: whoever carries takes goes on with those that are known.
                if self._complaints.admit(repr(error)[:80]):
                    logger.exception("unexpected error while takes were listed", bus=listing.link.name)
            await asyncio.sleep(_AT_MOST_EVERY)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await wake.wait()

    async def _refresh(self, listing: Listing) -> None:
        with suppress(BusUnavailable):
            # Also of what only another Redis lists: this one may know that it is delivered.
            known = set(self._takes).union(*(other.members for other in self._listings))
            await listing.look(known - self._delivered.keys(), self._clock())
            self._merge()
            self._first_look.set()
            still = [key for key in listing.members if key in self._delivered]
            if still:
                await listing.tell_delivered(still)
            hollow = self._hollow_of(listing)
            if hollow:
                await listing.strike(hollow)

    # ------------------------------------------------------------ what carriers ask and say

    async def held(self, key: TakeKey) -> Held | None:
        """What of a take is on any bus in reach; None where that is nothing. Raises BusUnavailable."""
        answers = await asyncio.gather(
            *(listing.held(key) for listing in self._listings), return_exceptions=True
        )
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if any(not isinstance(error, BusUnavailable) for error in errors) or len(errors) == len(answers):
            raise errors[0] if errors else BusUnavailable("there is no bus")
        there = [answer for answer in answers if isinstance(answer, Held)]
        return Held(min(each.first for each in there), max(each.top for each in there)) if there else None

    async def delivered(self, key: TakeKey) -> None:
        """Say everywhere that origins have all of a take. A Redis that is away is told when it is back."""
        self._note_delivered(key)
        self._merge()
        await asyncio.gather(*(self._tell_delivered(listing, key) for listing in self._listings))

    async def _tell_delivered(self, listing: Listing, key: TakeKey) -> None:
        with suppress(BusUnavailable):
            await listing.tell_delivered([key])

    def _note_delivered(self, key: TakeKey) -> None:
        self._delivered[key] = None
        while len(self._delivered) > _DELIVERED_HELD:
            del self._delivered[next(iter(self._delivered))]

    # ------------------------------------------------------------ one list of all

    def _merge(self) -> None:
        """Make one list of what every Redis said last."""
        now = self._clock()
        listed = {key for listing in self._listings for key in listing.members}
        takes = {}
        for key in (*self._takes, *sorted(listed - self._takes.keys())):
            facts = [listing.facts[key] for listing in self._listings if key in listing.facts]
            if any(fact.delivered for fact in facts):
                self._note_delivered(key)
            if key in self._delivered or (key not in listed and self._forgotten(key, now)):
                continue
            taken = _best(key, facts) or self._takes.get(key)
            if taken is not None:
                takes[key] = taken
        for key in self._missing.keys() - (takes.keys() - listed):
            del self._missing[key]
        if takes != self._takes:
            self._takes = takes
            self.announce()

    def _forgotten(self, key: TakeKey, now: float) -> bool:
        """Whether a take is on no list for so long that it will not come back."""
        if not any(listing.link.settled(_SETTLED) for listing in self._listings):
            return False
        if now - self._missing.setdefault(key, now) < _FORGOTTEN_AFTER:
            return False
        logger.warning("a take that no bus knows any more is forgotten", room=key.room, take=key.take)
        return True

    def _hollow_of(self, listing: Listing) -> list[TakeKey]:
        """What a Redis lists, and knows nothing of, since so long that nobody will tell it."""
        now = self._clock()
        empty = Facts()
        there = {key for key in listing.members if not listing.facts.get(key, empty).there}
        for other, key in [*self._hollow]:
            if other is listing and key not in there:
                del self._hollow[other, key]
        since = {key: self._hollow.setdefault((listing, key), now) for key in there}
        return [key for key, instant in since.items() if now - instant >= _FORGOTTEN_AFTER]


def _best(key: TakeKey, facts: Sequence[Facts]) -> ListedTake | None:
    """What the newest owner said; of one owner's words, the last."""
    memos = [fact.memo for fact in facts if fact.memo is not None]
    if not memos:
        return None
    memo = max(memos, key=lambda memo: (memo.generation, memo.ended is not None))
    return ListedTake(key, memo, all_reported(fact.failures for fact in facts))
