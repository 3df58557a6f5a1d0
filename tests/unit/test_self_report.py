"""What a process says of itself, and what of that others read."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from longwave.self_report import SelfReport
from workers.cluster.node import decode_beat, encode_beat


@pytest.mark.parametrize(
    ("leaves", "unreached", "said"),
    [
        (False, False, (False, False)),
        (True, False, (True, False)),
        (False, True, (True, True)),
        # Who leaves is no failure, whatever it reaches.
        (True, True, (True, False)),
    ],
)
def test_who_takes_up_nothing_says_whether_it_leaves_or_is_cut_off(
    leaves: bool, unreached: bool, said: tuple[bool, bool]
) -> None:
    me = SelfReport("worker-1", {"worker"}, Metrics(CollectorRegistry()))
    me.draining, me.out_of_reach = leaves, lambda: unreached
    node = me()
    assert (node.draining, node.cut_off) == said
    read = decode_beat(b"worker-1", encode_beat(node, 1, "")).node
    assert (read.draining, read.cut_off) == said
