"""Who owns which room, as all Redis of a process know it together.

A claim is good if one Redis that can be relied on says yes and none says no. A Redis that was gone knows
nothing of what happened meanwhile: for as long as a claim lives, owners have time to say there that they are,
and until then nobody else gets a room from that Redis alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from contracts.errors import BusUnavailable
from contracts.take import TakeKey
from workers.claims import Continued, Unattended
from workers.cluster.owner_keys import OwnerKeys

T = TypeVar("T")


class OwnerLinks:
    """Every Redis of this process, which began at `began`. Claims hold `ttl` seconds."""

    def __init__(self, redis: Sequence[OwnerKeys], ttl: float, began: float) -> None:
        self._redis = tuple(redis)
        self._ttl = ttl
        self._began = began
        # When each link was up for the first time.
        self._first_up: dict[OwnerKeys, float] = {}

    def __iter__(self) -> Iterator[OwnerKeys]:
        return iter(self._redis)

    async def ask(self, question: Callable[[OwnerKeys], Awaitable[T]]) -> dict[OwnerKeys, T]:
        """Every Redis at once; what those say that answer. Raises BusUnavailable where none does."""
        answers = await asyncio.gather(*(question(redis) for redis in self._redis), return_exceptions=True)
        said: dict[OwnerKeys, T] = {}
        for redis, answer in zip(self._redis, answers, strict=True):
            if not isinstance(answer, BaseException):
                said[redis] = answer
            elif not isinstance(answer, BusUnavailable):
                raise answer
        if not said:
            raise BusUnavailable("no redis answers")
        return said

    def watch(self, redis: OwnerKeys) -> None:
        """Look whether this Redis is up. Said now and then, so that `reliable` knows if it was ever gone."""
        if redis.link.up_since is not None:
            self._first_up.setdefault(redis, redis.link.up_since)

    async def reliable(self, redis: OwnerKeys) -> bool:
        """Whether every owner has had the time to say here that it is there."""
        self.watch(redis)
        link = redis.link
        if link.settled(self._ttl):
            return True
        first = self._first_up.get(redis)
        if first is None or first != link.up_since or first - self._began > self._ttl:
            return False
        # This process has only just begun: it was not the link that was gone. Was it the server?
        with suppress(BusUnavailable):
            return await redis.uptime() > self._ttl
        return False

    async def claim(
        self, room: str, generation: int, redis: Sequence[OwnerKeys], relied: Collection[OwnerKeys]
    ) -> bool:
        """Own `room` in each `redis`; False, and owned in none, where somebody was faster.

        One after the other, so that the first of them decides between two who claim at once. Raises
        BusUnavailable where none of `relied` says yes.
        """
        agreed: set[OwnerKeys] = set()
        for each in redis:
            try:
                if not await each.claim(room, generation):
                    await self.release({room: generation}, agreed)
                    return False
            except BusUnavailable:
                continue  # it went away meanwhile
            agreed.add(each)
        if agreed.isdisjoint(relied):
            await self.release({room: generation}, agreed)
            raise BusUnavailable("redis went away before the room was claimed")
        return True

    async def release(self, rooms: Mapping[str, int], where: Collection[OwnerKeys] | None = None) -> None:
        """Give up `rooms` with their generations; where a Redis does not answer, that happens by itself."""
        await asyncio.gather(*(_release(redis, rooms) for redis in (self if where is None else where)))

    async def recall(self, key: TakeKey) -> Continued | None:
        """A take as the bus has it: of two Redis, what each knows best. Raises BusUnavailable."""
        found = (await self.ask(lambda redis: redis.read(key))).values()
        known = sorted((take for take in found if take is not None), key=_freshness)
        return _merged(known) if known else None

    async def unattended(self) -> list[Unattended]:
        """Takes that are not the live one of an owned room. Raises BusUnavailable."""
        listings = (await self.ask(lambda redis: redis.listed())).values()
        alone = []
        for key in sorted({key for listing in listings for key in listing}):
            said = [listing[key] for listing in listings if key in listing]
            closed = any(each.closed for each in said)
            if closed or not any(each.owned and each.live for each in said):
                alone.append(Unattended(key, closed))
        return alone


async def _release(redis: OwnerKeys, rooms: Mapping[str, int]) -> None:
    with suppress(BusUnavailable):
        await redis.release(rooms)


def _freshness(take: Continued) -> tuple[int, int]:
    return take.memo.generation, take.top


def _merged(known: Sequence[Continued]) -> Continued:
    """One take as several Redis know it, the freshest last."""
    newest = known[-1]
    # The longest list as it is, then what others know beyond: a writer counts what each has.
    lists = sorted((take.events for take in known), key=len, reverse=True)
    events = {(event.sample, event.n): event for told in lists for event in told}
    ended = [take.memo.ended for take in known if take.memo.ended is not None]
    return replace(
        newest,
        memo=replace(newest.memo, ended=max(ended, default=None)),
        top=max(take.top for take in known),
        events=tuple(events.values()),
        closed=any(take.closed for take in known),
    )
