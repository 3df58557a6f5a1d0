"""How many listen to a room, over all origins: each says what it counts, and who is asked adds it up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from contracts.errors import BusUnavailable
from workers.redis_bus import keys
from workers.redis_bus.links import RedisLink

log = structlog.get_logger()

_SAY_EVERY: Final = 2.0
# Many pages ask for the same number every few seconds.
_FRESH_SECONDS: Final = 2.0
_LIVES_SECONDS: Final = 10


class ListenerCounts:
    """What the origins with the ids of `alive` count. `clock` is monotonic seconds."""

    def __init__(
        self,
        links: Sequence[RedisLink],
        alive: Callable[[], Iterable[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._links = links
        self._alive = alive
        self._clock = clock
        self._counts: Sequence[Mapping[str, int]] = ()
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def of(self, room: str) -> int:
        """How many listen to `room`, as of some seconds ago; never waits. Asks again in the background."""
        if self._clock() - self._asked > _FRESH_SECONDS and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(), name="listeners")
        return sum(rooms.get(room, 0) for rooms in self._counts)

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
        self._asked = self._clock()
        names = [keys.listeners(node_id) for node_id in self._alive()]
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
