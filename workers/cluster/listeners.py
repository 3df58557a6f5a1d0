"""How many listen to a room, over all origins: each says what it counts, and who is asked adds it up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from contracts.errors import BusUnavailable
from workers.redis_bus import keys
from workers.redis_bus.links import RedisLink

log = structlog.get_logger()

_SAY_EVERY: Final = 2.0
_LIVES_SECONDS: Final = 10


class ListenerCounts:
    """What the origins with the ids of `alive` count."""

    def __init__(self, links: Sequence[RedisLink], alive: Callable[[], Iterable[str]]) -> None:
        self._links = links
        self._alive = alive
        self._counts: Sequence[Mapping[str, int]] = ()

    def of(self, room: str) -> int:
        """How many listen to `room`, as of some seconds ago, while `follow` runs."""
        return sum(rooms.get(room, 0) for rooms in self._counts)

    async def follow(self) -> None:
        """Ask every two seconds. Runs until it is cancelled."""
        while True:
            await self._ask()
            await asyncio.sleep(_SAY_EVERY)

    async def say_for_ever(self, node_id: str, count: Callable[[], Mapping[str, int]]) -> None:
        """Say what this origin counts, every two seconds. Runs until it is cancelled."""
        while True:
            said = json.dumps(dict(count())).encode()
            await asyncio.gather(*(self._say(link, node_id, said) for link in self._links))
            await asyncio.sleep(_SAY_EVERY)

    async def _say(self, link: RedisLink, node_id: str, said: bytes) -> None:
        with suppress(BusUnavailable):
            put = link.client.set(keys.listeners(node_id), said, ex=_LIVES_SECONDS)
            await link.call("coordinate", put)

    async def _ask(self) -> None:
        names = [keys.listeners(node_id) for node_id in self._alive()]
        if not names:
            self._counts = ()
        for link in self._links if names else ():
            with suppress(BusUnavailable):
                said: Any = await link.call("coordinate", link.client.mget(names))
                self._counts = [_counts(text) for text in said if text is not None]
                return


def _counts(text: bytes) -> Mapping[str, int]:
    """What an origin said; nothing where that is nonsense."""
    try:
        said = json.loads(text)
        return {str(room): int(count) for room, count in said.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        log.warning("an origin's listeners cannot be read", reason=str(error))
        return {}
