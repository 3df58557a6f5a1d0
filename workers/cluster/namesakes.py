"""Ingests that say the same URL of themselves: rooms of one would be looked for at the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from workers.cluster.node import Node

# Heartbeats are read a little late: who began within so many seconds of another began at the same time.
_SAME_TIME: Final = 2.0


def elder_namesake(own: str, ingests: Iterable[Node]) -> str | None:
    """The id of another of these living ingests that has the URL of the one called `own`, and was first.

    Of two that began at the same time it is the one whose name comes first: one of them always goes on.
    """
    nodes = {node.id: node for node in ingests}
    me = nodes.pop(own, None)
    if me is None or not me.url:
        return None
    return next((node.id for node in nodes.values() if node.url == me.url and _before(node, me)), None)


def _before(other: Node, me: Node) -> bool:
    longer = other.started_s - me.started_s
    return longer > 0 if abs(longer) >= _SAME_TIME else other.id < me.id
