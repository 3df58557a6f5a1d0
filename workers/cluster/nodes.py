"""The nodes of this installation: heartbeats into every Redis, and who is alive by what all of them show."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import BusUnavailable
from workers.cluster.heartbeats import Heartbeats
from workers.cluster.liveness import Verdict
from workers.cluster.node import decode_beat
from workers.complaints import Complaints
from workers.news import News

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workers.cluster.node import Node
    from workers.redis_bus.links import RedisLink

logger = structlog.get_logger()

BEAT_EVERY: Final = 0.4
# Two that beat under one name do not see each other with every heartbeat.
_TWIN_SECONDS: Final = 10.0


class Nodes:
    """Beats for this node and watches the others.

    `me` says what this node is at the moment; `None` for one that only watches. A node is alive while any
    Redis shows signs of it; see `Watch` for when their absence means something. `clock` is monotonic seconds.
    """

    def __init__(
        self,
        links: Sequence[RedisLink],
        me: Callable[[], Node] | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._me = me
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        # A node that starts again under its old name goes on with another number.
        self._first_count = self._count = secrets.randbits(40)
        self._twin_seen: float | None = None
        self._draining = False
        self._others: dict[bytes, Node] = {}
        self._dead: set[bytes] = set()
        self._nonsense = Complaints()
        self._redis = [Heartbeats(link, self._nonsense, clock) for link in links]
        self._news = News()
        self._outline: set[object] = set()
        self._observed = asyncio.Event()

    # ------------------------------------------------------------ who is there

    def alive(self, role: str) -> tuple[Node, ...]:
        """Every living node that has `role`, this one included, by id; those that drain too."""
        nodes = [node for node in self._others.values() if role in node.roles]
        me = self._myself()
        if me is not None and role in me.roles:
            nodes.append(me)
        return tuple(sorted(nodes, key=lambda node: node.id))

    @property
    def version(self) -> int:
        """Grows whenever others come, go, or change in more than their load."""
        return self._news.version

    async def changed(self, seen: int) -> int:
        """The version, as soon as it is not `seen`. Cancelling it is always safe."""
        return await self._news.changed(seen)

    async def observed(self) -> None:
        """Return once any Redis has shown who is there: nobody is alone before that."""
        await self._observed.wait()

    @property
    def twin(self) -> str | None:
        """That another process goes by this node's name, where one does: mostly its data was copied."""
        if self._twin_seen is None or self._clock() - self._twin_seen > _TWIN_SECONDS:
            return None
        return "another process has the same name as this node: was its data directory copied?"

    # ------------------------------------------------------------ this node

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """The tasks that beat, which never return by themselves: one a Redis, none delays another."""
        return tuple(self._tasks)

    def start(self) -> None:
        """Beat from now on. Needs a running event loop."""
        for redis in self._redis:
            self._tasks.append(asyncio.create_task(self._keep(redis), name=f"heartbeats {redis.name}"))

    async def stop(self) -> None:
        """Beat no more, and take this node off the lists of every Redis in reach."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        me = self._myself()
        if me is not None:
            await asyncio.gather(*(redis.leave(me.id.encode()) for redis in self._redis))

    async def drain(self) -> None:
        """Say from now on, and at once, that this node is about to leave."""
        self._draining = True
        await self.beat()

    async def beat(self) -> None:
        """Beat once, everywhere, and look at the others. No error of Redis comes out of here."""
        await asyncio.gather(*map(self._beat, self._redis))

    async def _keep(self, redis: Heartbeats) -> None:
        while True:
            began = self._clock()
            try:
                await self._beat(redis)
            except Exception as error:
                redis.failed()
                if self._nonsense.admit(repr(error)[:80]):
                    logger.exception("unexpected error in a heartbeat", bus=redis.name)
            await asyncio.sleep(max(BEAT_EVERY / 8, BEAT_EVERY - (self._clock() - began)))

    async def _beat(self, redis: Heartbeats) -> None:
        me = self._myself()
        self._count += 1
        try:
            before = await redis.exchange(me, self._count)
            if me is not None and before is not None:
                self._look_for_twin(redis, me.id, before)
            await redis.look()
        except BusUnavailable:
            redis.failed()
        else:
            self._observed.set()
        self._judge()

    def _look_for_twin(self, redis: Heartbeats, own: str, before: bytes) -> None:
        """What stands under this node's name before it writes is what it wrote itself, or Redis lost it."""
        with suppress(ValueError):
            beat = decode_beat(own.encode(), before)
            if not self._first_count < beat.count <= self._count:
                if self.twin is None:
                    logger.error("another process has this node's name", bus=redis.name, node=own)
                self._twin_seen = self._clock()

    def _judge(self) -> None:
        """Who is alive by what all of Redis shows; where nothing is known, whoever was so far."""
        now = self._clock()
        me = self._myself()
        own = None if me is None else me.id.encode()
        before = self._others
        self._others = {}
        known = {name for redis in self._redis for name in redis.beats}
        self._dead &= known
        for name in known - {own}:
            verdicts = {redis: redis.verdict(name, now) for redis in self._redis if name in redis.beats}
            if Verdict.ALIVE in verdicts.values():
                self._dead.discard(name)
            elif Verdict.DEAD in verdicts.values():
                self._dead.add(name)
            if name not in self._dead:
                # Of two that are alive, the one that heard more.
                best = max(verdicts, key=lambda r: (verdicts[r] is Verdict.ALIVE, r.beats[name].count))
                self._others[name] = best.node(name)
        self._note_changes(before, me)

    def _note_changes(self, before: Mapping[bytes, Node], me: Node | None) -> None:
        for name in self._others.keys() - before.keys():
            logger.info("a node is there", node=name.decode(), roles=sorted(self._others[name].roles))
        for name in before.keys() - self._others.keys():
            tell = logger.info if before[name].draining else logger.warning
            tell("a node is gone", node=name.decode(), roles=sorted(before[name].roles))
        outline = {_outline(node) for node in (*self._others.values(), *([me] if me else []))}
        if outline != self._outline:
            self._outline = outline
            self._news.announce()

    def _myself(self) -> Node | None:
        if self._me is None:
            return None
        me = self._me()
        return replace(me, draining=True) if self._draining else me


def _outline(node: Node) -> object:
    """What changes in a node only when something happens."""
    return replace(node, load=0.0, memory=0, latency_ms=None, listeners=0, started_s=0.0)
