"""The state of a cluster as Redis and its nodes tell it: two round trips to each Redis for a look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.errors import BadRequest, BusUnavailable
from contracts.listeners import Headcount
from contracts.take import MAX_SAMPLES, TakeKey
from pipeline.grid import SAMPLE_RATE
from workers.cluster.failure_reports import Reported, all_reported, parse_reported
from workers.cluster.nodes import Nodes
from workers.cluster.view import ROLES, BusView, ClusterState, TakeView, by_name, carriers, heard
from workers.quarantine import FAILURES
from workers.redis_bus import keys
from workers.redis_bus.links import RedisLink, RedisRefuses

_KIND: Final = "coordinate"
_MOST_TAKES: Final = 2000
"""More of them help nobody who looks, and would keep Redis busy."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What one Redis knows of a take; `samples` is None where it has nothing of it yet."""

    samples: int | None
    owner: str | None
    ended: bool
    failures: Reported


class RedisView:
    """The nodes that `nodes` sees, and the takes of all Redis: each as whoever knows most tells it.

    `known` gives what origins know of listeners.
    """

    def __init__(
        self,
        nodes: Nodes,
        links: Sequence[RedisLink],
        known: Callable[[], Collection[Headcount]] = tuple,
    ) -> None:
        self._nodes = nodes
        self._links = links
        self._known = known

    async def look(self) -> ClusterState:
        """The state of this moment; a Redis that does not answer is shown to be so."""
        found = await asyncio.gather(*(_rows(link) for link in self._links))
        alive = {node.id: node for role in ROLES for node in self._nodes.alive(role)}
        nodes = tuple(alive[node_id] for node_id in sorted(alive))
        known: dict[TakeKey, list[_Row]] = {}
        for rows in found:
            for key, row in (rows or {}).items():
                known.setdefault(key, []).append(row)
        takes = {key: _take(key, rows, carriers(nodes, key)) for key, rows in known.items()}
        buses = (_bus(link, rows, takes) for link, rows in zip(self._links, found, strict=True))
        state = ClusterState(nodes, tuple(sorted(takes.values(), key=by_name)), tuple(buses))
        return heard(state, self._known())


async def _rows(link: RedisLink) -> Mapping[TakeKey, _Row] | None:
    """All takes that a Redis lists; None where it does not answer."""
    try:
        # Redis deals out members of a set as they lie: which ones a long list shows is left to it.
        members: Any = await link.call(_KIND, link.client.srandmember(keys.TAKES, _MOST_TAKES))
        takes = _takes(members)
        pipe = link.client.pipeline(transaction=False)
        for key in takes:
            pipe.hmget(keys.take(key), b"top", b"closed")
            pipe.hget(keys.owner(key.room), b"node")
            pipe.hgetall(keys.failures(key))
        answers = await link.replies(_KIND, pipe) if takes else []
    except BusUnavailable:
        return None
    return {key: _row(*answers[3 * at : 3 * at + 3]) for at, key in enumerate(takes)}


def _takes(members: Sequence[bytes]) -> list[TakeKey]:
    takes = []
    for member in members:
        try:
            takes.append(keys.parse_member(member))
        except (BadRequest, ValueError):
            continue
    return takes


def _row(
    take: Sequence[bytes | None] | RedisRefuses, owner: bytes | RedisRefuses | None, failures: object
) -> _Row:
    samples, closed = (None, None) if isinstance(take, RedisRefuses) else take
    return _Row(
        samples=_number(samples),
        owner=owner.decode(errors="replace") if isinstance(owner, bytes) else None,
        ended=closed is not None,
        failures=parse_reported(failures),
    )


def _number(text: object) -> int | None:
    try:
        number = int(text) if isinstance(text, bytes) else -1
    except ValueError:
        return None
    return number if 0 <= number <= MAX_SAMPLES else None


def _take(key: TakeKey, rows: Sequence[_Row], carried_by: tuple[str, ...]) -> TakeView:
    failures = all_reported(row.failures for row in rows)
    return TakeView(
        key,
        next((row.owner for row in rows if row.owner is not None), None),
        carried_by,
        max(row.samples or 0 for row in rows),
        ended=any(row.ended for row in rows),
        failures=failures.count,
        quarantined=failures.condemned or _alone_with_it(failures, carried_by),
    )


def _alone_with_it(failures: Reported, carried_by: Sequence[str]) -> bool:
    """Whether only workers have it who let it alone, each for itself."""
    return bool(carried_by) and all(failures.by_node.get(node, 0) >= FAILURES for node in carried_by)


def _bus(link: RedisLink, rows: Mapping[TakeKey, _Row] | None, takes: Mapping[TakeKey, TakeView]) -> BusView:
    if rows is None:
        return BusView(link.name, up=False, trouble=link.trouble)
    # A take that it has nothing of is not behind: it goes on there from where it is.
    behind = [takes[key].samples - row.samples for key, row in rows.items() if row.samples is not None]
    return BusView(link.name, up=True, lag_s=round(max(behind, default=0) / SAMPLE_RATE, 2))
