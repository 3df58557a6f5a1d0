"""The takes that a worker carries: what its transcoders follow, and what readers fill from Redis."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from contracts.take import TakeHeader, TakeKey
from workers.complaints import Complaints
from workers.news import News
from workers.redis_bus.mirror import Mirror

logger = structlog.get_logger()


class Mirrors(News):
    """A mirror for each take that is carried here. See `workers.bus.BusTakes`. `clock` is monotonic.

    `delivered` collects the takes that origins have to their end: whoever tells others takes them out.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.delivered: set[TakeKey] = set()
        self._clock = clock
        self._takes: dict[TakeKey, Mirror] = {}
        self._over: set[TakeKey] = set()
        self._signs: dict[str, float] = {}
        self._complaints = Complaints()

    # ---- whoever decides what is carried -----------------------------------------------------------------

    def follow(self, key: TakeKey, header: TakeHeader, first: int) -> Mirror:
        """Carry a take from sample `first` on; the same take twice gives the same mirror."""
        mirror = self._takes.get(key)
        if mirror is None:
            mirror = self._takes[key] = Mirror(key, header, first, self._clock())
            self.announce()
        return mirror

    def drop(self, key: TakeKey) -> None:
        """Carry a take no more: somebody else does."""
        self._over.discard(key)
        if self._takes.pop(key, None) is not None:
            self.announce()

    def ended(self, key: TakeKey, sample: int) -> None:
        """Say that a take ended at `sample`, as often as you like.

        If its sound up to there, and what happened, is still to be had, it is taken; if nothing comes any
        more, it is lost.
        """
        mirror = self._takes.get(key)
        if mirror is not None:
            mirror.ends_at(sample, self._clock())

    def get(self, key: TakeKey) -> Mirror | None:
        """The mirror of a take, if it is carried."""
        return self._takes.get(key)

    # ---- the transcoders' side ---------------------------------------------------------------------------

    def live(self) -> tuple[Mirror, ...]:
        """Every take that is carried, ended ones included."""
        return tuple(self._takes.values())

    def close(self, key: TakeKey) -> None:
        """Every origin in reach has the end of the take."""
        self._over.discard(key)
        if self._takes.pop(key, None) is not None:
            self.delivered.add(key)
            self.announce()

    # ---- the readers' side -------------------------------------------------------------------------------

    def attach(self, link: str) -> None:
        """A link begins to bring takes: it is waited for as if it had just answered."""
        self._signs[link] = self._clock()

    def answered(self, link: str) -> None:
        """A link has answered."""
        self._signs[link] = self._clock()

    def detach(self, link: str) -> None:
        """A link brings nothing any more."""
        self._signs.pop(link, None)
        for mirror in self._takes.values():
            mirror.forget(link)

    def settle(self) -> None:
        """Give up what no link can bring any more, and tell of takes that ended since."""
        now = self._clock()
        for key, mirror in self._takes.items():
            try:
                mirror.settle(self._signs, now)
            except Exception:
                # Whatever is wrong with one take: the others are looked after.
                if self._complaints.admit(key):
                    logger.exception("unexpected error in a mirror", room=key.room, take=key.take)
            if mirror.ended is not None and key not in self._over:
                self._over.add(key)
                self.announce()
