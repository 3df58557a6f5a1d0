"""One owner a room: an ingest claims rooms in Redis, says every second that it is there, and gives them up.

A claim lives in every Redis that answers (`owner_links`). It has a higher generation than all before, and
whatever is written says its generation: an owner that was frozen or cut off does no harm when it is back.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Final

from contracts.errors import BusUnavailable, LivesElsewhere
from contracts.take import TakeKey
from workers.claims import Claim, Continued, Unattended
from workers.cluster.owner_keys import Look, OwnerKeys
from workers.cluster.owner_links import OwnerLinks
from workers.redis_bus.keys import OWNER_TTL_MS
from workers.redis_bus.links import RedisLink
from workers.take_memo import TakeMemo

_RENEW_SECONDS: Final = 1.0
_TRIES: Final = 5
# Two who claim a room in the same moment try again at different ones.
_PAUSE_SECONDS: Final = (0.01, 0.08)


class Ownership:
    """The rooms of the ingest `node_id`, which others reach at `url`; see `workers.claims.RoomClaims`.

    No two ingests may have the same URL: `namesake` gives the name of another that has this one and was there
    first. While there is one, nothing is claimed, because speakers would be sent back and forth.

    Writers of the bus are told, too (`workers.redis_bus.claimed_rooms`). `clock` is monotonic, in seconds,
    and that of the links. One event loop.
    """

    def __init__(
        self,
        links: Sequence[RedisLink],
        node_id: str,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        ttl_ms: int = OWNER_TTL_MS,
        namesake: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._node = node_id
        self._namesake = namesake
        self._url = url
        self._every = min(_RENEW_SECONDS, ttl_ms / 3000)
        redis = [OwnerKeys(link, node_id, url, ttl_ms) for link in links]
        self._links = OwnerLinks(redis, ttl_ms / 1000, clock())
        self._rooms: dict[str, int] = {}
        self._memos: dict[TakeKey, TakeMemo] = {}
        self._lost: list[str] = []
        self._closed: set[TakeKey] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._releasing: set[asyncio.Task[None]] = set()

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """Its tasks: none of them ever returns by itself."""
        return tuple(self._tasks)

    def start(self) -> None:
        """Begin to renew what is claimed, in each Redis by itself."""
        self._tasks = [
            asyncio.create_task(self._renewing(redis), name=f"renew {redis.link.name}")
            for redis in self._links
        ]

    async def stop(self) -> None:
        """Give all rooms up. To be said when the bus has all that was said in them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._releasing, return_exceptions=True)
        rooms, self._rooms = self._rooms, {}
        await self._links.release(rooms)

    # ---- for the ingest ------------------------------------------------------------------------------------

    def owns(self, room: str) -> bool:
        """Whether `room` is this ingest's."""
        return room in self._rooms

    async def claim(self, room: str, known: int = 0) -> Claim:
        """Own `room`, and learn of the take that lives there.

        Its generation is above all that Redis knows of, and above that which is `known` here.
        Raises LivesElsewhere, or BusUnavailable where no Redis answers that can be relied on, or another
        ingest has the URL of this one.
        """
        if (trouble := self.degraded) is not None:
            raise BusUnavailable(trouble)
        for _ in range(_TRIES):
            looks = await self._links.ask(lambda redis: redis.look(room))
            other = self._other(looks.values())
            if other is not None:
                raise LivesElsewhere(other.url)
            relied = {redis for redis in looks if await self._links.reliable(redis)}
            if not relied:
                raise BusUnavailable("redis is only just back: who owns this room is not known yet")
            known = max(known, self._rooms.get(room, 0), *(look.generation for look in looks.values()))
            generation = known + 1
            if await self._links.claim(room, generation, [*looks], relied):
                return await self._claimed(room, generation, looks.values())
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - no secret
        raise BusUnavailable("others claim this room in the same moment")

    async def owner_of(self, room: str) -> str | None:
        """The URL of another ingest that owns `room`; None: nobody, or this one. Raises BusUnavailable."""
        if self.owns(room):
            return None
        other = self._other((await self._links.ask(lambda redis: redis.look(room))).values())
        return None if other is None else other.url

    async def owners_of(self, rooms: Collection[str]) -> dict[str, str | None]:
        """The same of each of `rooms`, in one round trip a Redis; nothing of those that make no sense."""
        asked = [room for room in rooms if not self.owns(room)]
        found: dict[str, list[Look]] = {}
        if asked:
            for looks in (await self._links.ask(lambda redis: redis.looks(asked))).values():
                for room, look in looks.items():
                    found.setdefault(room, []).append(look)
        others = {room: self._other(looks) for room, looks in found.items()}
        urls = {room: None if other is None else other.url for room, other in others.items()}
        return urls | {room: None for room in rooms if self.owns(room)}

    async def left(self, room: str) -> bool:
        """Whether a take lives in `room` that nobody owns. Raises BusUnavailable."""
        looks = (await self._links.ask(lambda redis: redis.look(room))).values()
        if self.owns(room) or any(look.node for look in looks):
            return False
        found = [await self.recall(TakeKey(room, take)) for take in {look.live for look in looks} - {""}]
        return any(take is not None and not take.over for take in found)

    def release(self, room: str) -> Coroutine[None, None, None]:
        """Give `room` up, from this call on; where a Redis is not told, the claim ends by itself."""
        generation = self._rooms.pop(room, None)
        self._forget(room)
        return self._links.release({} if generation is None else {room: generation})

    async def recall(self, key: TakeKey) -> Continued | None:
        """A take as the bus has it: of two Redis, what each knows best. Raises BusUnavailable."""
        return await self._links.recall(key)

    async def unattended(self) -> Collection[Unattended]:
        """Takes that are not the live one of an owned room. Raises BusUnavailable."""
        return await self._links.unattended()

    def note(self, key: TakeKey, memo: TakeMemo) -> None:
        """What the bus should know of a take."""
        if self.owns(key.room):
            self._memos[key] = memo

    def retain(self, keys: Collection[TakeKey]) -> None:
        """Forget what was noted of all other takes."""
        self._memos = {key: memo for key, memo in self._memos.items() if key in keys}
        self._closed &= {*keys}

    def lost(self) -> list[str]:
        """Rooms that another ingest took over since this was asked last."""
        lost, self._lost = self._lost, []
        return lost

    @property
    def degraded(self) -> str | None:
        """That another ingest has this one's URL."""
        namesake = self._namesake()
        if namesake is None:
            return None
        return f"ingest {namesake} is reached at {self._url}, too: each needs an --advertise of its own"

    @property
    def in_touch(self) -> bool:
        """Some Redis answers."""
        return any(redis.link.up for redis in self._links)

    def accepted(self, key: TakeKey) -> bool:
        """Whether a Redis has taken the take's end from here."""
        return key in self._closed

    # ---- for the writers of the bus ------------------------------------------------------------------------

    def generation(self, room: str) -> int | None:
        """That of this ingest's claim; None where it does not own `room`."""
        return self._rooms.get(room)

    def memo(self, key: TakeKey) -> TakeMemo | None:
        """What was noted last of a take."""
        return self._memos.get(key)

    def closed(self, key: TakeKey) -> None:
        """A Redis has the take to its end."""
        self._closed.add(key)

    def deposed(self, room: str, generation: int) -> None:
        """A Redis says that somebody with this higher generation owns `room`."""
        if generation > self._rooms.get(room, generation):
            self._lose(room)

    # ---- inside --------------------------------------------------------------------------------------------

    async def _renewing(self, redis: OwnerKeys) -> None:
        while True:
            self._links.watch(redis)
            with suppress(BusUnavailable):
                await self._renew(redis)
            await asyncio.sleep(self._every)

    async def _renew(self, redis: OwnerKeys) -> None:
        """All rooms in one round trip."""
        rooms = dict(self._rooms)
        for room, generation in (await redis.renew(rooms)).items():
            # One that was claimed anew meanwhile is none that anybody took.
            if self._rooms.get(room) == rooms[room] and generation >= rooms[room]:
                self._lose(room)

    def _lose(self, room: str) -> None:
        generation = self._rooms.pop(room)
        self._forget(room)
        self._lost.append(room)
        # Where the other one was not seen, this one is no longer in its way.
        task = asyncio.create_task(self._links.release({room: generation}), name=f"release {room}")
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    def _forget(self, room: str) -> None:
        self._memos = {key: memo for key, memo in self._memos.items() if key.room != room}

    def _other(self, looks: Collection[Look]) -> Look | None:
        """Another ingest that owns a room; of several the last one. One with this URL is this one's past."""
        others = [look for look in looks if look.node not in {"", self._node} and look.url != self._url]
        return max(others, key=lambda look: (look.generation, look.node), default=None)

    async def _claimed(self, room: str, generation: int, looks: Collection[Look]) -> Claim:
        """Nothing older can be written from here on: what the bus has now is all there is."""
        try:
            found = [await self.recall(TakeKey(room, take)) for take in {look.live for look in looks} - {""}]
        except BaseException:
            await self._links.release({room: generation})
            raise
        live = [take for take in found if take is not None and not take.over]
        self._rooms[room] = generation
        return Claim(generation, max(live, key=lambda take: take.key.take, default=None))
