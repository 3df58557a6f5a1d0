"""What a writer tells Redis in one round trip, and what Redis answers, take by take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from contracts.errors import BusUnavailable
from contracts.take import TakeKey
from workers.memory_bus import EVENTS_HELD
from workers.redis_bus import keys
from workers.redis_bus.entries import item
from workers.redis_bus.links import RedisLink
from workers.redis_bus.scripts import APPEND, ASSERT
from workers.redis_bus.take_cursor import UNKNOWN, Answer, Batch
from workers.take_memo import TakeMemo

_EXPIRES_MS: Final = 1000 * keys.EXPIRES_SECONDS
_NO_SCRIPT: Final = Answer(UNKNOWN, -1, 0, -1)


class Asked(NamedTuple):
    """About which take; `batch` is what was appended, None where it was asserted.

    `listed`: the events that Redis lists of it, as they were put, where that was asked too.
    """

    key: TakeKey
    batch: Batch | None
    listed: frozenset[bytes] | None = None


Told: TypeAlias = tuple[Asked, Answer | BusUnavailable]


class RoundTrip:
    """Commands for `link` that are sent together. Each is carried out, or refused, for itself."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._pipe: Pipeline = link.client.pipeline(transaction=False)
        self._asked: list[Asked | TakeKey | None] = []
        self._kind = "coordinate"

    def assert_take(
        self, key: TakeKey, generation: int, memo: TakeMemo, *, alive: bool, events: bool = False
    ) -> None:
        """Say what is known of a take, and ask what Redis has of it; with `events`, which ones it lists."""
        if events:
            self._asked.append(key)
            self._pipe.lrange(keys.events(key), -EVENTS_HELD, -1)
        names = (*_of_take(key), keys.live(key.room), keys.generation(key.room))
        fields = [
            part for name, value in memo.to_fields().items() if name != b"gen" for part in (name, value)
        ]
        self._ask(Asked(key, None))
        self._pipe.evalsha(
            ASSERT.sha,
            len(names),
            *names,
            generation,
            _EXPIRES_MS,
            key.take.encode(),
            int(alive),
            *fields,
        )

    def append(self, key: TakeKey, generation: int, batch: Batch) -> None:
        """Add what comes next in a take."""
        names = (*_of_take(key), keys.generation(key.room))
        items = [part for entry in batch.entries for part in item(entry)]
        self._kind = "append"
        self._ask(Asked(key, batch))
        self._pipe.evalsha(
            APPEND.sha,
            len(names),
            *names,
            generation,
            batch.start,
            batch.events,
            _EXPIRES_MS,
            batch.forget_below,
            *items,
        )

    def list_takes(self, takes: Iterable[TakeKey]) -> None:
        """These are live, or not delivered yet."""
        if members := [keys.member(key) for key in takes]:
            self._ask(None)
            self._pipe.sadd(keys.TAKES, *members)

    def announce(self, takes: Iterable[TakeKey]) -> None:
        """Wake who waits for changes: these begin, end, or are here again."""
        for key in takes:
            self._ask(None)
            self._pipe.xadd(
                keys.CHANGES, {b"take": keys.member(key)}, maxlen=keys.CHANGES_HELD, approximate=True
            )

    def take_leave(self, key: TakeKey) -> None:
        """This one is delivered to its end: a Redis that was away must not offer it again."""
        name = keys.take(key)
        self._asked += [None, None, None]
        self._pipe.srem(keys.TAKES, keys.member(key))
        self._pipe.hset(name, b"delivered", b"1")
        self._pipe.pexpire(name, _EXPIRES_MS)

    async def send(self) -> list[Told]:
        """Every answer about a take, in order. Raises BusUnavailable where none came."""
        if not self._asked:
            return []
        replies = await self._link.call(self._kind, self._pipe.execute(raise_on_error=False))
        told: list[Told] = []
        listed: dict[TakeKey, frozenset[bytes]] = {}
        unloaded = False
        for asked, reply in zip(self._asked, replies, strict=True):
            answer: Answer | BusUnavailable
            if isinstance(reply, NoScriptError):
                unloaded, answer = True, _NO_SCRIPT
            elif isinstance(reply, Exception):
                answer = self._link.failed(self._kind, reply)
            elif asked is None:
                continue
            elif isinstance(asked, TakeKey):
                listed[asked] = frozenset(reply)
                continue
            else:
                answer = Answer(*reply)
            if isinstance(asked, Asked):
                told.append((asked._replace(listed=listed.get(asked.key)), answer))
        if unloaded:
            await _load_scripts(self._link)
        return told

    def _ask(self, asked: Asked | None) -> None:
        self._asked.append(asked)


def _of_take(key: TakeKey) -> tuple[bytes, bytes, bytes]:
    return keys.take(key), keys.pcm(key), keys.events(key)


async def _load_scripts(link: RedisLink) -> None:
    """A server that started again knows no script."""
    pipe = link.client.pipeline(transaction=False)
    for script in (APPEND, ASSERT):
        pipe.script_load(script.text)
    await link.call("coordinate", pipe.execute())
