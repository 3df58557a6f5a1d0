"""Which takes this worker carries: it takes up what falls to it, and lets go of what others have taken up.

Make before break: a take that falls to another worker is carried on until that worker says, with a heartbeat,
that an origin has the newest part from it. Until then two of them make the same bytes, which hurts nobody.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from contracts.errors import BusUnavailable
from pipeline.grid import SEGMENT
from workers.backoff import Backoff
from workers.cluster.progress import at_live_edge, far_behind, first_needed
from workers.cluster.shares import Shares
from workers.nets import Net
from workers.redis_bus import keys
from workers.redis_bus.links import RedisRefuses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from contracts.metrics import Metrics
    from contracts.position import Position
    from contracts.take import TakeKey
    from contracts.take_state import TakeState
    from workers.cluster.directory import Directory, ListedTake
    from workers.cluster.nodes import Nodes
    from workers.redis_bus.mirror import Mirror
    from workers.redis_bus.mirrors import Mirrors

logger = structlog.get_logger()

_TICK: Final = 0.2
_AGAIN_AFTER: Final = 0.4
_AGAIN_AT_MOST: Final = 30.0
# Two workers that see others differently for a moment might each leave a take to the other one.
_LET_GO_AFTER: Final = 1.0
# A take that is on no list any more, and whose end never comes.
_GONE_AFTER: Final = 10.0
# A take that has just begun does not wait for origins, which may hang.
_WORTH_ASKING: Final = 2 * SEGMENT


class Published(Protocol):
    """What is asked of a publisher."""

    async def states(self, key: TakeKey) -> list[TakeState | None]:
        """What each origin that answers has of a take; None for one that does not know it."""

    def reached(self, key: TakeKey) -> Position | None:
        """The first position of a take that no origin was seen to have; None where none has media of it."""


class Carrying:
    """Keeps `mirrors` to the takes of `directory` that fall to worker `node_id` among the living of `nodes`.

    `redundancy` workers carry each take. Nothing is taken up before `ready` returns. `clock` is monotonic
    seconds.
    """

    def __init__(  # noqa: PLR0913 - all that meets here
        self,
        node_id: str,
        nodes: Nodes,
        directory: Directory,
        mirrors: Mirrors,
        publisher: Published,
        metrics: Metrics,
        *,
        redundancy: int = 1,
        ready: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._directory = directory
        self._mirrors = mirrors
        self._publisher = publisher
        self._metrics = metrics
        self._shares = Shares(node_id, nodes, directory, redundancy)
        self._ready = ready
        self._clock = clock
        self._taking_up: dict[TakeKey, asyncio.Task[None]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        # Takes that could not be taken up when that was tried last.
        self._troubles: dict[TakeKey, Backoff] = {}
        self._net = Net(
            "unexpected error while takes were shared out", metrics.unexpected_errors.labels("carrying").inc
        )
        # Delivered by this worker: not to be taken up again, whatever lists say.
        self._over: set[TakeKey] = set()
        self._caught_up: set[TakeKey] = set()
        self._others_since: dict[TakeKey, float] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def carrying(self) -> frozenset[str]:
        """The takes (`room/take`) whose newest part an origin has from here: what heartbeats say."""
        return frozenset(keys.member(key).decode() for key in self._caught_up)

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """The task that decides, which never returns by itself."""
        return () if self._task is None else (self._task,)

    def start(self) -> None:
        """Carry takes from the moment on when it is known who lives and what lives. Needs a running loop."""
        self._task = asyncio.create_task(self._keep(), name="carrying")

    async def stop(self) -> None:
        """Decide nothing any more; what is carried stays in the mirrors."""
        tasks = [*self.background, *self._taking_up.values(), *self._telling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self, grace: float) -> None:
        """Hand everything over: returns when others carry it, nobody else is there, or `grace` s are over."""
        deadline = self._clock() + grace
        await self._nodes.drain()
        while self._mirrors.live() and self._shares.others_stay() and self._clock() < deadline:  # noqa: ASYNC110 - once
            await asyncio.sleep(_TICK / 2)
        left = [bus.key.room for bus in self._mirrors.live()]
        if left:
            logger.warning("nobody took over some of what this worker carried", rooms=left)
        else:
            logger.info("this worker has handed over what it carried")

    async def _keep(self) -> None:
        if self._ready is not None:
            await self._ready()
        await self._nodes.observed()
        await self._directory.looked()
        while True:
            seen = [(news, news.version) for news in (self._nodes, self._directory, self._mirrors)]
            try:
                self.look()
            except Exception:
                self._metrics.unexpected_errors.labels("carrying").inc()
                logger.exception("unexpected error while takes were shared out")
            waiting = [asyncio.ensure_future(news.changed(version)) for news, version in seen]
            try:
                await asyncio.wait(waiting, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waiting:
                    each.cancel()

    # ------------------------------------------------------------ one look

    def look(self) -> None:
        """Compare what falls to this worker with what it carries, and begin to make them equal."""
        now = self._clock()
        self._tell_delivered()
        self._shares.renew(self._over)
        for key, take in self._directory.takes.items():
            with self._net.under(key):
                self._look_for(take)
        for mirror in self._mirrors.live():
            with self._net.under(mirror.key):
                self._look_at(mirror, now)
        there = {mirror.key for mirror in self._mirrors.live()}
        self._caught_up &= there
        for key in self._others_since.keys() - there:
            del self._others_since[key]
        for key in self._troubles.keys() - self._directory.takes.keys():
            del self._troubles[key]
        self._metrics.takes_carried.set(len(there))

    def _look_for(self, take: ListedTake) -> None:
        """See whether a take that lives is to be taken up, and whether it is over."""
        key = take.key
        if self._shares.falls_here(key) and self._mirrors.get(key) is None and key not in self._taking_up:
            name = f"take up {key.room}/{key.take}"
            self._taking_up[key] = asyncio.create_task(self._take_up(take), name=name)
        if take.memo.ended is not None:
            self._mirrors.ended(key, take.memo.ended)

    def _look_at(self, mirror: Mirror, now: float) -> None:
        """See whether a take that is carried is at the live edge, and whether it is still wanted here."""
        key = mirror.key
        self._look_how_far(mirror)
        if key not in self._shares.placed:
            # One that has ended is being delivered to those origins that have not got all of it.
            elsewhere, after = mirror.ended is None, _GONE_AFTER
        else:
            elsewhere = not self._shares.falls_here(key) and self._shares.carried_by_others(key)
            after = _LET_GO_AFTER
        if not elsewhere:
            self._others_since.pop(key, None)
        elif now - self._others_since.setdefault(key, now) >= after:
            del self._others_since[key]
            by = self._shares.placed.get(key)
            logger.info("a take is carried elsewhere", room=key.room, take=key.take, by=by)
            self._mirrors.drop(key)

    def _look_how_far(self, mirror: Mirror) -> None:
        """Say that a take is carried here once an origin has its newest part; no more where it falls behind.

        A worker that was frozen, or is cut off from origins, would be taken at its word, and listeners would
        wait until it has caught up.
        """
        reached = self._publisher.reached(mirror.key)
        if reached is not None and at_live_edge(mirror, reached):
            self._caught_up.add(mirror.key)
        elif reached is None or far_behind(mirror, reached):
            self._caught_up.discard(mirror.key)

    # ------------------------------------------------------------ the beginning and the end of carrying

    async def _take_up(self, take: ListedTake) -> None:
        """Follow a take from where origins need it. What fails here is tried again, and told of once.

        A bus that is away may be back at once; what cannot be read, or meets a bug, is left alone for longer
        each time.
        """
        key = take.key
        known = key in self._troubles
        backoff = self._troubles.setdefault(key, Backoff(_AGAIN_AFTER, _AGAIN_AT_MOST))
        pause = _AGAIN_AFTER
        try:
            if await self._follow(take):
                pause = 0.0
            self._troubles.pop(key, None)
        except BusUnavailable as error:
            if not known:
                logger.warning("a take cannot be taken up yet", room=key.room, reason=error.message)
            if isinstance(error, RedisRefuses):
                pause = backoff.next()
        except Exception:
            self._metrics.unexpected_errors.labels("carrying").inc()
            if not known:
                logger.exception("unexpected error while a take was taken up", room=key.room)
            pause = backoff.next()
        if pause:
            await asyncio.sleep(pause)
        del self._taking_up[key]

    async def _follow(self, take: ListedTake) -> bool:
        key, memo = take.key, take.memo
        held = await self._directory.held(key)
        if held is None and memo.ended is None:
            return False
        new = held is not None and held.first == 0 and held.top <= _WORTH_ASKING and memo.ended is None
        states = [] if new else await self._publisher.states(key)
        if states and all(state is not None and state.end is not None for state in states):
            self._mirrors.delivered.add(key)
            return True
        if not self._shares.falls_here(key):
            return True
        first = first_needed(held, states)
        self._mirrors.follow(key, memo.header, first)
        if first > 0:
            self._metrics.takes_taken_over.inc()
            logger.info("a take is taken up", room=key.room, take=key.take, first=first)
        return True

    def _tell_delivered(self) -> None:
        """Tell others what origins have to its end."""
        self._over &= self._directory.takes.keys()
        while self._mirrors.delivered:
            key = self._mirrors.delivered.pop()
            self._over.add(key)
            task = asyncio.create_task(
                self._directory.delivered(key), name=f"delivered {key.room}/{key.take}"
            )
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
