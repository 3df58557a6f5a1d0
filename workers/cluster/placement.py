"""Which workers carry which takes: the same answer on every node that sees the same nodes and takes.

Weighted rendezvous hashing (every take ranks all workers by a hash of both names, so that few takes move when
a worker comes or goes) with bounded load (a worker that is full keeps the takes that rank it highest, and the
others go to their next one). The latter is the stable matching of takes that propose: there is one only, and
no order of takes or workers leads to another.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from contracts.take import TakeKey
    from workers.cluster.node import Node

_BOUND: Final = 1.15
"""No worker gets more than this times its fair share, rounded up."""


@dataclass(frozen=True, slots=True)
class Placing:
    """A take that wants workers; `encoder` is the fingerprint in its header.

    `failed` is how often it could not be encoded, by the ids of nodes.
    """

    key: TakeKey
    encoder: str
    failed: Mapping[str, int] = field(default_factory=dict)


def place(
    takes: Sequence[Placing], workers: Sequence[Node], redundancy: int
) -> dict[TakeKey, tuple[str, ...]]:
    """For each take the ids of `redundancy` workers, best first; fewer where there are not so many.

    Workers that drain get nothing unless all do. The workers of one take have equal fingerprints, so that all
    origins get equal bytes: where enough others are alike, a worker of a rare kind stays idle. A take rather
    goes to the kind that its header names; before all that, to those where it failed least. Load is shared
    by capacity.
    """
    crew = _crew(workers, redundancy)
    takes = sorted(takes, key=lambda take: take.key)
    if not takes or not crew:
        return {take.key: () for take in takes}
    costs = _costs(takes, crew)
    copies = min(redundancy, len(crew))
    total = sum(worker.capacity for worker in crew)
    chosen: list[list[int]] = [[] for _ in takes]
    load = [0] * len(crew)
    for copy in range(1, copies + 1):
        limits = [max(1, math.ceil(_BOUND * copy * len(takes) * w.capacity / total)) for w in crew]
        room = [max(0, limit - there) for limit, there in zip(limits, load, strict=True)]
        wishes = [
            _wishes(take, crew, ranks, mine)
            for take, ranks, mine in zip(takes, np.argsort(costs, axis=1, kind="stable"), chosen, strict=True)
        ]
        for take, worker in enumerate(_match(wishes, costs, room)):
            chosen[take].append(worker)
            load[worker] += 1
    for number, placing in enumerate(takes):
        if placing.failed:
            chosen[number] = _elsewhere(placing, crew, chosen[number], costs[number])
    return {take.key: tuple(crew[i].id for i in mine) for take, mine in zip(takes, chosen, strict=True)}


def _elsewhere(
    take: Placing, crew: Sequence[Node], chosen: Sequence[int], costs: NDArray[np.float64]
) -> list[int]:
    """Where a take failed least, of the kind that would have it, and where it would be otherwise.

    However full these are, no other take moves because of it: it might fail there as well.
    """

    def reluctance(worker: int) -> tuple[int, bool, bool, float]:
        failures = take.failed.get(crew[worker].id, 0)
        kind = crew[worker].encoder != crew[chosen[0]].encoder
        return failures, kind, worker not in chosen, float(costs[worker])

    return sorted(range(len(crew)), key=reluctance)[: len(chosen)]


def _crew(workers: Sequence[Node], redundancy: int) -> list[Node]:
    """Those who get something, by id."""
    staying = [worker for worker in workers if not worker.draining] or workers
    kinds = Counter(worker.encoder for worker in staying)
    alike = [worker for worker in staying if kinds[worker.encoder] >= redundancy]
    return sorted(alike or staying, key=lambda worker: worker.id)


def _wishes(take: Placing, crew: Sequence[Node], ranks: Iterable[int], chosen: Sequence[int]) -> list[int]:
    """The workers that a take may get next, in its order of preference; `ranks` is that by cost alone."""
    ranked = [int(worker) for worker in ranks if worker not in chosen]
    if not chosen:
        return sorted(ranked, key=lambda i: crew[i].encoder != take.encoder)
    return [i for i in ranked if crew[i].encoder == crew[chosen[0]].encoder] or ranked


def _match(wishes: Sequence[Sequence[int]], costs: NDArray[np.float64], room: Sequence[int]) -> list[int]:
    """A worker for each take: takes propose, workers keep those that rank them highest.

    Where nobody on its list has room, a take goes to the first: it has to run somewhere.
    """
    result = [wish[0] for wish in wishes]
    proposals = [iter(wish) for wish in wishes]
    # Of each worker what it holds, the one it would give up first on top: the highest cost.
    held: list[list[tuple[float, int]]] = [[] for _ in room]
    waiting = deque(range(len(wishes)))
    while waiting:
        take = waiting.popleft()
        worker = next(proposals[take], None)
        if worker is None:
            continue
        heapq.heappush(held[worker], (-float(costs[take, worker]), take))
        if len(held[worker]) > room[worker]:
            waiting.append(heapq.heappop(held[worker])[1])
    for worker, takes in enumerate(held):
        for _, take in takes:
            result[take] = worker
    return result


def _costs(takes: Sequence[Placing], crew: Sequence[Node]) -> NDArray[np.float64]:
    """How much each take (row) would rather be elsewhere than at each worker: exponential, rate = capacity.

    The lowest of such numbers falls to each worker in proportion to its capacity.
    """
    names = np.array([_hash(f"{take.key.room}/{take.key.take}") for take in takes], dtype=np.uint64)
    nodes = np.array([_hash(worker.id) for worker in crew], dtype=np.uint64)
    mixed = _mix(names[:, None] ^ nodes[None, :])
    uniform = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    capacity = np.array([worker.capacity for worker in crew], dtype=np.float64)
    costs: NDArray[np.float64] = -np.log(uniform) / capacity
    return costs


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # SplitMix64's finaliser; unsigned multiplication wraps around, on every machine alike.
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)
