"""Which takes fall to this worker, and which others carry: `place` is asked when something is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.cluster.placement import Placing, place
from workers.redis_bus import keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from contracts.take import TakeKey
    from workers.cluster.directory import Directory
    from workers.cluster.node import Node
    from workers.cluster.nodes import Nodes


class Shares:
    """The takes of `directory`, shared out among the living of `nodes`, `redundancy` workers for each.

    `placed` are the workers of each take.
    """

    def __init__(self, node_id: str, nodes: Nodes, directory: Directory, redundancy: int) -> None:
        self._id = node_id
        self._nodes = nodes
        self._directory = directory
        self._redundancy = redundancy
        self._seen: object = None
        self._basis: object = None
        self._workers: tuple[Node, ...] = ()
        self.placed: Mapping[TakeKey, tuple[str, ...]] = {}

    def renew(self, over: AbstractSet[TakeKey]) -> None:
        """Share the takes out again, if what that depends on is new: with thousands of them it costs 50 ms.

        Lists of what others carry change all the time, and most of what is known of takes is of no interest.
        Those that are `over` fall to nobody.
        """
        seen = (self._nodes.version, self._directory.version, frozenset(over))
        if seen == self._seen:
            return
        self._seen = seen
        self._workers = self._nodes.alive("worker")
        takes = [take for key, take in self._directory.takes.items() if key not in over]
        placings = [Placing(take.key, take.memo.header.encoder, take.failures.by_node) for take in takes]
        crew = [(node.id, node.encoder, node.capacity, node.draining) for node in self._workers]
        if (crew, placings) != self._basis:
            self._basis = crew, placings
            self.placed = place(placings, self._workers, self._redundancy)

    def falls_here(self, key: TakeKey) -> bool:
        """Whether this worker is to carry a take."""
        return self._id in self.placed.get(key, ())

    def carried_by_others(self, key: TakeKey) -> bool:
        """Whether all workers that a take falls to say that they carry it."""
        member = keys.member(key).decode()
        there = {node.id for node in self._workers if member in node.carrying}
        return bool(self.placed[key]) and there.issuperset(self.placed[key])

    def others_stay(self) -> bool:
        """Whether there is another worker that is not about to leave."""
        return any(node.id != self._id and not node.draining for node in self._nodes.alive("worker"))
