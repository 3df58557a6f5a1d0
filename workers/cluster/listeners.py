"""How many listen to a room, over all origins: each says what it knows, and who is asked adds it up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from contracts.errors import BadRequest, BusUnavailable
from contracts.listeners import Headcount, by_tier
from workers.complaints import Complaints
from workers.redis_bus import keys
from workers.redis_bus.links import RedisLink

log = structlog.get_logger()

_SAY_EVERY: Final = 2.0
_LIVES_SECONDS: Final = 10


class ListenerCounts:
    """What the origins with the ids of `alive` know."""

    def __init__(self, links: Sequence[RedisLink], alive: Callable[[], Iterable[str]]) -> None:
        self._links = links
        self._alive = alive
        self._known: Mapping[str, Headcount] = {}
        self._complaints = Complaints()

    def of(self, room: str) -> int:
        """How many listen to `room`, as of some seconds ago, while `follow` runs. Each edge counts once."""
        return sum(by_tier(room, self.known()).values())

    def known(self) -> Sequence[Headcount]:
        """What each of them knows, likewise."""
        return tuple(self._known.values())

    def beside(self, node_id: str) -> Sequence[Headcount]:
        """What the others than `node_id` know, likewise."""
        return tuple(known for origin, known in self._known.items() if origin != node_id)

    def claimed(self, node_id: str) -> frozenset[str]:
        """Edges that an origin before `node_id` in order has heard of: they are in its heartbeat."""
        before = (known for origin, known in self._known.items() if origin < node_id)
        return frozenset(edge for known in before for edge in known.edges)

    async def follow(self) -> None:
        """Ask every two seconds. Runs until it is cancelled."""
        while True:
            await self._ask()
            # At first nobody is known: an origin that comes back has to learn soon where its rooms are.
            await asyncio.sleep(_SAY_EVERY if self._known else _SAY_EVERY / 8)

    async def say_for_ever(self, node_id: str, know: Callable[[], Headcount]) -> None:
        """Say what this origin knows, every two seconds. Runs until it is cancelled."""
        while True:
            said = json.dumps(know().to_json()).encode()
            await asyncio.gather(*(self._say(link, node_id, said) for link in self._links))
            await asyncio.sleep(_SAY_EVERY)

    async def _say(self, link: RedisLink, node_id: str, said: bytes) -> None:
        with suppress(BusUnavailable):
            put = link.client.set(keys.listeners(node_id), said, ex=_LIVES_SECONDS)
            await link.call("coordinate", put)

    async def _ask(self) -> None:
        ids = list(self._alive())
        if not ids:
            self._known = {}
        for link in self._links if ids else ():
            with suppress(BusUnavailable):
                names = [keys.listeners(node_id) for node_id in ids]
                said: Any = await link.call("coordinate", link.client.mget(names))
                told = {node_id: text for node_id, text in zip(ids, said, strict=True) if text is not None}
                self._known = {node_id: self._headcount(node_id, text) for node_id, text in told.items()}
                return

    def _headcount(self, node_id: str, text: bytes) -> Headcount:
        """What an origin said; nothing where that is nonsense."""
        try:
            return Headcount.from_json(json.loads(text))
        except (ValueError, RecursionError, BadRequest) as error:
            if self._complaints.admit(node_id):
                reason = getattr(error, "message", str(error))
                log.warning("an origin's listeners cannot be read", node=node_id, reason=reason)
            return Headcount()
