"""The nodes of this installation: heartbeats into every Redis, and who is alive by what all of them show."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from zlib import crc32

import structlog

from contracts.errors import BusUnavailable
from workers.cluster.liveness import Verdict, Watch
from workers.cluster.node import Beat, decode_beat, digest_of, encode_beat, list_text, parse_list
from workers.complaints import Complaints
from workers.news import News
from workers.redis_bus import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio.client import Pipeline

    from workers.cluster.node import Node
    from workers.redis_bus.links import RedisLink

logger = structlog.get_logger()

BEAT_EVERY: Final = 0.4
# The list of takes is written when it changes, and this often, in seconds: Redis may have lost it.
_LIST_EVERY: Final = 2.0
# Two that beat under one name do not see each other with every heartbeat.
_TWIN_SECONDS: Final = 10.0
_NO_LIST: Final = (digest_of(b""), frozenset[str]())


@dataclass(slots=True, eq=False)
class _View:
    """What one Redis shows, and what it was told: this node's last list and when; that it is there."""

    link: RedisLink
    watch: Watch = field(default_factory=Watch)
    beats: dict[bytes, Beat] = field(default_factory=dict)
    lists: dict[bytes, tuple[str, frozenset[str]]] = field(default_factory=dict)
    list_given: tuple[str, float] = ("", 0.0)
    said: tuple[str, bool] | None = None


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
        self._views = [_View(link) for link in links]
        self._tasks: list[asyncio.Task[None]] = []
        # A node that starts again under its old name goes on with another number.
        self._first_count = self._count = secrets.randbits(40)
        self._twin_seen: float | None = None
        self._draining = False
        self._others: dict[bytes, Node] = {}
        self._dead: set[bytes] = set()
        self._nonsense = Complaints()
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
        for view in self._views:
            self._tasks.append(asyncio.create_task(self._keep(view), name=f"heartbeats {view.link.name}"))

    async def stop(self) -> None:
        """Beat no more, and take this node off the lists of every Redis in reach."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        me = self._myself()
        if me is not None:
            await asyncio.gather(*(self._leave(view, me.id.encode()) for view in self._views))

    async def drain(self) -> None:
        """Say from now on, and at once, that this node is about to leave."""
        self._draining = True
        await self.beat()

    async def beat(self) -> None:
        """Beat once, everywhere, and look at the others. No error of Redis comes out of here."""
        await asyncio.gather(*map(self._beat, self._views))

    async def _keep(self, view: _View) -> None:
        while True:
            began = self._clock()
            try:
                await self._beat(view)
            except Exception as error:
                view.watch.failed()
                if self._nonsense.admit(repr(error)[:80]):
                    logger.exception("unexpected error in a heartbeat", bus=view.link.name)
            await asyncio.sleep(max(BEAT_EVERY / 8, BEAT_EVERY - (self._clock() - began)))

    async def _beat(self, view: _View) -> None:
        try:
            found = await self._exchange(view)
            self._read(view, found)
            await self._fetch_lists(view)
            view.watch.observe({name: _sign(view, name, text) for name, text in found.items()}, self._clock())
            await self._remove(view, view.watch.forget_stale())
        except BusUnavailable:
            view.watch.failed()
        else:
            self._observed.set()
        self._judge()

    async def _exchange(self, view: _View) -> Mapping[bytes, bytes]:
        """Give a sign of life and read everybody's, in one round trip."""
        now = self._clock()
        me = self._myself()
        pipe = view.link.client.pipeline(transaction=False)
        if me is not None:
            name, text = me.id.encode(), list_text(me.carrying)
            digest = digest_of(text)
            given, at = view.list_given
            fresh = digest != given or now - at >= _LIST_EVERY
            if fresh:
                pipe.hset(keys.CARRYING, name, text)
            self._count += 1
            pipe.hget(keys.NODES, name)
            pipe.hset(keys.NODES, name, encode_beat(me, self._count, digest))
            if view.said != (me.id, me.draining):
                _tell(pipe, name)
            for shared in keys.SHARED:
                pipe.expire(shared, keys.EXPIRES_SECONDS)
        pipe.hgetall(keys.NODES)
        replies = await view.link.call("coordinate", pipe.execute())
        if me is not None:
            if view.said is not None:
                self._look_for_twin(view, me.id, replies[int(fresh)])
            view.said = (me.id, me.draining)
            if fresh:
                view.list_given = (digest, now)
        found: Mapping[bytes, bytes] = replies[-1]
        return found

    def _look_for_twin(self, view: _View, own: str, before: object) -> None:
        """What stands under this node's name before it writes is what it wrote itself, or Redis lost it."""
        with suppress(ValueError):
            beat = decode_beat(own.encode(), before) if isinstance(before, bytes) else None
            if beat is not None and not self._first_count < beat.count <= self._count:
                if self.twin is None:
                    logger.error("another process has this node's name", bus=view.link.name, node=own)
                self._twin_seen = self._clock()

    def _read(self, view: _View, found: Mapping[bytes, bytes]) -> None:
        for name, text in found.items():
            try:
                view.beats[name] = decode_beat(name, text)
            except ValueError as error:
                if self._nonsense.admit(name):
                    reason = str(error)[:200]
                    logger.warning("this is no heartbeat", **_said(view, name), reason=reason)
            except Exception:
                # Whatever is wrong with one of them: the others are heard.
                if self._nonsense.admit(name):
                    logger.exception("unexpected error while a heartbeat was read", **_said(view, name))

    async def _fetch_lists(self, view: _View) -> None:
        """Ask for the lists of takes that are others than those known here."""
        wanted = [n for n, beat in view.beats.items() if view.lists.get(n, _NO_LIST)[0] != beat.list_digest]
        if not wanted:
            return
        reply = await view.link.call("coordinate", view.link.client.hmget(keys.CARRYING, wanted))
        for name, text in zip(wanted, reply, strict=True):
            if isinstance(text, bytes):
                with suppress(ValueError):
                    view.lists[name] = (digest_of(text), parse_list(text))

    async def _remove(self, view: _View, stale: Sequence[bytes]) -> None:
        """Take those off the lists who have been gone for so long that they will not come back."""
        if not stale:
            return
        for name in stale:
            view.beats.pop(name, None)
            view.lists.pop(name, None)
        pipe = view.link.client.pipeline(transaction=False)
        pipe.hdel(keys.NODES, *stale)
        pipe.hdel(keys.CARRYING, *stale)
        await view.link.call("coordinate", pipe.execute())

    async def _leave(self, view: _View, name: bytes) -> None:
        pipe = view.link.client.pipeline(transaction=False)
        pipe.hdel(keys.NODES, name)
        pipe.hdel(keys.CARRYING, name)
        _tell(pipe, name)
        with suppress(BusUnavailable):
            await view.link.call("coordinate", pipe.execute())

    def _judge(self) -> None:
        """Who is alive by what all of Redis shows; where nothing is known, whoever was so far."""
        now = self._clock()
        me = self._myself()
        own = None if me is None else me.id.encode()
        before = self._others
        self._others = {}
        known = {name for view in self._views for name in view.beats}
        self._dead &= known
        for name in known - {own}:
            verdicts = {view: view.watch.verdict(name, now) for view in self._views if name in view.beats}
            if Verdict.ALIVE in verdicts.values():
                self._dead.discard(name)
            elif Verdict.DEAD in verdicts.values():
                self._dead.add(name)
            if name not in self._dead:
                # Of two that are alive, the one that heard more.
                best = max(verdicts, key=lambda v: (verdicts[v] is Verdict.ALIVE, v.beats[name].count))
                self._others[name] = _node(best, name)
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


def _node(view: _View, name: bytes) -> Node:
    return replace(view.beats[name].node, carrying=view.lists.get(name, _NO_LIST)[1])


def _said(view: _View, name: bytes) -> dict[str, str]:
    return {"bus": view.link.name, "node": repr(name)[:80]}


def _sign(view: _View, name: bytes, text: bytes) -> int:
    """The number that changes with each heartbeat, or that stands for what is none."""
    beat = view.beats.get(name)
    return crc32(text) if beat is None else beat.count


def _outline(node: Node) -> object:
    """What changes in a node only when something happens."""
    return replace(node, load=0.0, memory=0, latency_ms=None, listeners=0, started_s=0.0)


def _tell(pipe: Pipeline, name: bytes) -> None:
    """Wake whoever waits for changes."""
    pipe.xadd(keys.CHANGES, {b"node": name}, maxlen=keys.CHANGES_HELD, approximate=True)
