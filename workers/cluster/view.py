"""What operators are shown of nodes, takes and buses: values, true at one moment, and who gathers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from contracts.listeners import Headcount, Tier, edges_told
from contracts.take import TakeKey
from pipeline.grid import SAMPLE_RATE
from workers.bus import TakeBus
from workers.cluster.node import Node

ROLES: Final = ("ingest", "worker", "origin")


@dataclass(frozen=True, slots=True)
class TakeView:
    """A take of `samples` so far. `owner` (None: nobody) and `carried_by` are the ids of nodes.

    Its `listeners` should be on `tier`, and are on those that are named.
    """

    key: TakeKey
    owner: str | None
    carried_by: tuple[str, ...]
    samples: int
    ended: bool = False
    failures: int = 0
    quarantined: bool = False
    tier: Tier = Tier.ORIGIN
    listeners: Mapping[Tier, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """As `GET /cluster.json` tells it."""
        return {
            "room": self.key.room,
            "take": self.key.take,
            "owner": self.owner,
            "carried_by": list(self.carried_by),
            "samples": self.samples,
            "seconds": round(self.samples / SAMPLE_RATE, 1),
            "ended": self.ended,
            "failures": self.failures,
            "quarantined": self.quarantined,
            "tier": self.tier.word,
            "listeners": {tier.word: self.listeners[tier] for tier in sorted(self.listeners)},
        }


@dataclass(frozen=True, slots=True)
class EdgeView:
    """An edge that tells origins of its `listeners`, who hear so many `rooms`."""

    name: str
    tier: Tier
    listeners: int
    rooms: int

    def to_json(self) -> dict[str, object]:
        """As `GET /cluster.json` tells it."""
        return {
            "name": self.name,
            "tier": self.tier.word,
            "listeners": self.listeners,
            "rooms": self.rooms,
        }


@dataclass(frozen=True, slots=True)
class BusView:
    """A Redis. `trouble` says why it is not `up`; `lag_s`, how far its takes are behind another one's."""

    name: str
    up: bool
    trouble: str | None = None
    lag_s: float | None = None

    def to_json(self) -> dict[str, object]:
        """As `GET /cluster.json` tells it."""
        return {"name": self.name, "up": self.up, "trouble": self.trouble, "lag_s": self.lag_s}


@dataclass(frozen=True, slots=True)
class ClusterState:
    """All nodes that are alive, by id; all takes that are live or not delivered yet; buses; edges."""

    nodes: tuple[Node, ...]
    takes: tuple[TakeView, ...]
    buses: tuple[BusView, ...] = ()
    edges: tuple[EdgeView, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The body of `GET /cluster.json`."""
        return {
            "nodes": [_node_json(node) for node in self.nodes],
            "takes": [take.to_json() for take in self.takes],
            "buses": [bus.to_json() for bus in self.buses],
            "edges": [edge.to_json() for edge in self.edges],
        }


class ClusterView(Protocol):
    """Gathers the state of a cluster. What cannot be reached is said to be so: it never raises."""

    async def look(self) -> ClusterState:
        """The state of this moment."""


class LocalView:
    """One process with every role.

    `takes` are those on its bus, `quarantined` says which get gaps, `known` who listens to them.
    """

    def __init__(
        self,
        me: Callable[[], Node],
        takes: Callable[[], Iterable[TakeBus]],
        quarantined: Callable[[TakeKey], bool] = lambda _: False,
        known: Callable[[], Collection[Headcount]] = tuple,
    ) -> None:
        self._me = me
        self._takes = takes
        self._quarantined = quarantined
        self._known = known

    async def look(self) -> ClusterState:
        """This node, and its takes."""
        me = self._me()
        takes = [
            TakeView(
                bus.key,
                me.id,
                carriers([me], bus.key),
                bus.top,
                ended=bus.ended is not None,
                quarantined=self._quarantined(bus.key),
            )
            for bus in self._takes()
        ]
        return heard(ClusterState((me,), tuple(sorted(takes, key=by_name))), self._known())


def heard(state: ClusterState, known: Collection[Headcount]) -> ClusterState:
    """`state` with what origins know of listeners: on which tier they should be, and where they are."""
    told = edges_told(known)
    rooms: dict[str, Counter[Tier]] = {}
    tiers: dict[str, Tier] = {}
    for count in known:
        for room, listeners in count.here.items():
            rooms.setdefault(room, Counter())[Tier.ORIGIN] += listeners
        for room, tier in count.tiers.items():
            tiers[room] = max(tier, tiers.get(room, tier))
    for report in told.values():
        for room, listeners in report.rooms.items():
            rooms.setdefault(room, Counter())[report.tier] += listeners

    def with_listeners(take: TakeView) -> TakeView:
        room = take.key.room
        # They hear the room's running take.
        if take.ended:
            return take
        return replace(take, tier=tiers.get(room, Tier.ORIGIN), listeners=+rooms.get(room, Counter()))

    edges = (
        EdgeView(name, report.tier, sum(report.rooms.values()), sum(map(bool, report.rooms.values())))
        for name, report in sorted(told.items())
    )
    return replace(state, takes=tuple(map(with_listeners, state.takes)), edges=tuple(edges))


def carriers(nodes: Iterable[Node], key: TakeKey) -> tuple[str, ...]:
    """The ids of the nodes that encode a take."""
    member = f"{key.room}/{key.take}"
    return tuple(node.id for node in nodes if member in node.carrying)


def by_name(take: TakeView) -> tuple[str, str]:
    """The order of takes: by room, then by age."""
    return take.key.room, take.key.take


def _node_json(node: Node) -> dict[str, object]:
    return {
        "id": node.id,
        "roles": sorted(node.roles),
        "url": node.url,
        "draining": node.draining,
        "cut_off": node.cut_off,
        "capacity": node.capacity,
        "load": node.load,
        "memory": node.memory,
        "latency_ms": node.latency_ms,
        "listeners": node.listeners,
        "carrying": sorted(node.carrying),
        "encoder": node.encoder,
        "version": node.version,
        "uptime_s": node.started_s,
    }
