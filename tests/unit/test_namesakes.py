"""Two ingests with one URL: which of them takes no rooms."""

from __future__ import annotations

import pytest

from workers.cluster.namesakes import elder_namesake
from workers.cluster.node import Node

URL = "http://ingest:8080"


def _node(name: str, started_s: float, url: str = URL) -> Node:
    return Node(name, frozenset({"ingest"}), url=url, started_s=started_s)


@pytest.mark.parametrize(
    ("nodes", "refused"),
    [
        ([_node("a", 100), _node("b", 5)], {"b"}),
        ([_node("a", 5), _node("b", 100)], {"a"}),
        # Each knows the other a heartbeat late.
        ([_node("a", 5), _node("b", 5.4)], {"b"}),
        ([_node("a", 5.4), _node("b", 5)], {"b"}),
        ([_node("a", 100), _node("b", 50), _node("c", 5)], {"b", "c"}),
        ([_node("a", 100), _node("b", 5, "http://b:8080")], set()),
        ([_node("a", 100, ""), _node("b", 5, "")], set()),
    ],
)
def test_of_ingests_with_one_url_the_first_alone_takes_rooms(nodes: list[Node], refused: set[str]) -> None:
    assert {node.id for node in nodes if elder_namesake(node.id, nodes)} == refused


def test_who_is_not_there_has_no_namesake() -> None:
    assert elder_namesake("c", [_node("a", 100)]) is None
