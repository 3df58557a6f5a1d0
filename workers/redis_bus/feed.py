"""The cursor of a reader in one take: behind which entry of the stream more is wanted."""

from __future__ import annotations

from typing import Final

from pipeline.grid import SAMPLE_RATE
from workers.redis_bus.mirror import Mirror

_BACK: Final = SAMPLE_RATE
_NOWHERE: Final = (0, 0)


class Feed:
    """One take of one Redis. `last` is the ID of the entry dealt with last, as (sample, n).

    Of the many takes of a worker few have something new in a round: the others are to cost next to nothing.
    """

    __slots__ = ("_at_edge", "_cursor", "_cursor_of", "last", "mirror", "stream")

    def __init__(self, mirror: Mirror, stream: bytes) -> None:
        self.mirror = mirror
        self.stream = stream
        self.last = _NOWHERE
        self._at_edge = False
        self._cursor_of: tuple[tuple[int, int], int] | None = None
        self._cursor = b""

    def cursor(self) -> bytes:
        """The ID behind which entries are wanted."""
        mirror = self.mirror
        if self._cursor_of != (self.last, mirror.top):
            self._cursor_of = (self.last, mirror.top)
            sample, n = max(self.last, (max(mirror.first, mirror.top - _BACK), 0))
            self._cursor = b"%d-%d" % (sample, n)
        return self._cursor

    def brought(self, link: str, *, all_of_it: bool) -> None:
        """The mirror is told where that changes something."""
        if all_of_it != self._at_edge:
            self._at_edge = all_of_it
            self.mirror.brought(link, all_of_it=all_of_it)

    def start_over(self, link: str) -> None:
        """What this Redis has is to be found out again."""
        self.last, self._at_edge = _NOWHERE, False
        self.mirror.forget(link)
