"""The heartbeats in one Redis: this node's own is written, everybody's are read, in one round trip."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from zlib import crc32

import structlog

from contracts.errors import BusUnavailable
from workers.cluster.liveness import Verdict, Watch
from workers.cluster.node import Beat, decode_beat, digest_of, encode_beat, list_text, parse_list
from workers.redis_bus import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio.client import Pipeline

    from workers.cluster.node import Node
    from workers.complaints import Complaints
    from workers.redis_bus.links import RedisLink

logger = structlog.get_logger()

# The list of takes is written when it changes, and this often, in seconds: Redis may have lost it.
_LIST_EVERY: Final = 2.0
_NO_LIST: Final = (digest_of(b""), frozenset[str]())


class Heartbeats:
    """What the Redis of `link` shows, and what it was told. `nonsense` keeps what is logged in bounds.

    `beats` are the newest of all nodes by name. `clock` is monotonic seconds.
    """

    def __init__(self, link: RedisLink, nonsense: Complaints, clock: Callable[[], float]) -> None:
        self.name = link.name
        self.beats: dict[bytes, Beat] = {}
        self._link = link
        self._nonsense = nonsense
        self._clock = clock
        self._watch = Watch()
        self._lists: dict[bytes, tuple[str, frozenset[str]]] = {}
        # What was told there: this node's last list and when; that it is there, and whether it leaves.
        self._list_given: tuple[str, float] = ("", 0.0)
        self._said: tuple[str, bool] | None = None
        self._found: Mapping[bytes, bytes] = {}

    async def exchange(self, me: Node | None, count: int) -> bytes | None:
        """Give a sign of life, the one of number `count`, and get everybody's. Raises BusUnavailable.

        Returns what stood under this node's name until then, if this process had written it here before.
        """
        pipe = self._link.client.pipeline(transaction=False)
        if me is None:
            pipe.hgetall(keys.NODES)
            (self._found,) = await self._link.call("coordinate", pipe.execute())
            return None
        now = self._clock()
        name, text = me.id.encode(), list_text(me.carrying)
        digest = digest_of(text)
        given, at = self._list_given
        fresh = digest != given or now - at >= _LIST_EVERY
        pipe.hget(keys.NODES, name)
        if fresh:
            # Before the heartbeat that has its digest: whoever reads that finds the list.
            pipe.hset(keys.CARRYING, name, text)
        pipe.hset(keys.NODES, name, encode_beat(me, count, digest))
        if self._said != (me.id, me.draining):
            _tell(pipe, name)
        for shared in keys.SHARED:
            pipe.expire(shared, keys.EXPIRES_SECONDS)
        pipe.hgetall(keys.NODES)
        before, *_, self._found = await self._link.call("coordinate", pipe.execute())
        known, self._said = self._said is not None, (me.id, me.draining)
        if fresh:
            self._list_given = digest, now
        return before if known else None

    async def look(self) -> None:
        """Read what came: who is there, what they carry, whose sign has changed. Raises BusUnavailable."""
        self._read()
        await self._fetch_lists()
        self._watch.observe(
            {name: self._sign(name, text) for name, text in self._found.items()}, self._clock()
        )
        await self._remove(self._watch.forget_stale())

    def failed(self) -> None:
        """This Redis, or the look at it, failed: what was not seen means nothing."""
        self._watch.failed()

    def verdict(self, name: bytes, now: float) -> Verdict:
        """Whether the node of this name lives, by what is seen here."""
        return self._watch.verdict(name, now)

    def node(self, name: bytes) -> Node:
        """The node of this name, with the takes that it carries."""
        return replace(self.beats[name].node, carrying=self._lists.get(name, _NO_LIST)[1])

    async def leave(self, name: bytes) -> None:
        """Take a node off the lists, if this Redis is in reach."""
        pipe = self._link.client.pipeline(transaction=False)
        pipe.hdel(keys.NODES, name)
        pipe.hdel(keys.CARRYING, name)
        _tell(pipe, name)
        with suppress(BusUnavailable):
            await self._link.call("coordinate", pipe.execute())

    def _read(self) -> None:
        for name, text in self._found.items():
            try:
                self.beats[name] = decode_beat(name, text)
            except ValueError as error:
                if self._nonsense.admit(name):
                    reason = str(error)[:200]
                    logger.warning("this is no heartbeat", **self._where(name), reason=reason)
            except Exception:
                # Whatever is wrong with one of them: the others are heard.
                if self._nonsense.admit(name):
                    logger.exception("unexpected error while a heartbeat was read", **self._where(name))

    async def _fetch_lists(self) -> None:
        """Ask for the lists of takes that are others than those known here."""
        wanted = [n for n, beat in self.beats.items() if self._lists.get(n, _NO_LIST)[0] != beat.list_digest]
        if not wanted:
            return
        reply = await self._link.call("coordinate", self._link.client.hmget(keys.CARRYING, wanted))
        for name, text in zip(wanted, reply, strict=True):
            if isinstance(text, bytes):
                with suppress(ValueError):
                    self._lists[name] = (digest_of(text), parse_list(text))

    async def _remove(self, stale: Sequence[bytes]) -> None:
        """Take those off the lists who have been gone for so long that they will not come back."""
        if not stale:
            return
        for name in stale:
            self.beats.pop(name, None)
            self._lists.pop(name, None)
        pipe = self._link.client.pipeline(transaction=False)
        pipe.hdel(keys.NODES, *stale)
        pipe.hdel(keys.CARRYING, *stale)
        await self._link.call("coordinate", pipe.execute())

    def _sign(self, name: bytes, text: bytes) -> int:
        """The number that changes with each heartbeat, or that stands for what is none."""
        beat = self.beats.get(name)
        return crc32(text) if beat is None else beat.count

    def _where(self, name: bytes) -> dict[str, str]:
        return {"bus": self.name, "node": repr(name)[:80]}


def _tell(pipe: Pipeline, name: bytes) -> None:
    """Wake whoever waits for changes."""
    pipe.xadd(keys.CHANGES, {b"node": name}, maxlen=keys.CHANGES_HELD, approximate=True)
