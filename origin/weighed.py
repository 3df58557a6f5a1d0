"""A cache with a bound on what it holds: what was used longest ago leaves first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Weighed(Generic[K, V]):
    """Values with weights (bytes, say), whose sum is at most `limit`. For one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.weight = 0

    def get(self, key: K) -> V | None:
        """The value, which is now the last that would leave."""
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Keep a value, in place of what was there. One that is heavier than the limit is not kept."""
        self.drop(key)
        if weight > self._limit:
            return
        self._held[key] = (value, weight)
        self.weight += weight
        while self.weight > self._limit:
            _, (_, gone) = self._held.popitem(last=False)
            self.weight -= gone

    def weight_of(self, key: K) -> int:
        """What a value weighs; 0 where it is not there."""
        found = self._held.get(key)
        return 0 if found is None else found[1]

    def drop(self, key: K) -> None:
        """Let go of a value, if it is there."""
        found = self._held.pop(key, None)
        if found is not None:
            self.weight -= found[1]

    def __len__(self) -> int:
        return len(self._held)
