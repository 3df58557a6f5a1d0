"""Metrics: what they tell apart, and what of them an alert can rely on from the start."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeEvent, TakeHeader
from origin.service import Origin, OriginLimits
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests.observed import rules
from tests.origins import KEY, encoded, settings
from tests.takes import EPOCH_US

# Classes, and what an operator has set up. A room, a take, a speaker or a listener is none of them: of those
# there is no end, and a Prometheus keeps a series for each for weeks.
CLASSES = {"fate", "kind", "outcome", "reason", "state", "status", "way", "where"}
SET_UP = {"bus", "origin", "tier"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_labels_are_classes_and_never_rooms(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)
    labels = {name for metric in vars(metrics).values() for name in getattr(metric, "_labelnames", ())}
    assert labels == CLASSES | SET_UP


def test_an_alert_on_an_event_sees_the_first_one(registry: CollectorRegistry) -> None:
    """To Prometheus a series that comes into being as 1 did not increase."""
    Metrics(registry)
    watched = [
        (name, dict(re.findall(r'(\w+)="([^"]*)"', labels)))
        for rule in rules()
        for name, labels in re.findall(r"increase\((longwave_\w+)\{?([^}\[]*)\}?\[", rule["expr"])
    ]
    assert len(watched) > 5
    for name, labels in watched:
        assert registry.get_sample_value(name, labels) == 0, (name, labels)
    summed = re.findall(
        r"sum by \(job, instance\) \((longwave_\w+)\)", "".join(each["expr"] for each in rules())
    )
    assert summed
    for name in summed:
        assert name in {sample.name for family in registry.collect() for sample in family.samples}


def test_the_latencies_that_alerts_watch_are_bounds_of_their_histograms(registry: CollectorRegistry) -> None:
    """Between bounds a quantile is a guess; at one it is exact."""
    metrics = Metrics(registry)
    for histogram in (metrics.part_latency, metrics.release):
        histogram.observe(0.17)
        histogram.observe(0.19)
        name = next(iter(histogram.describe())).name
        assert registry.get_sample_value(f"{name}_bucket", {"le": "0.18"}) == 1


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_live_edge_is_as_old_as_the_newest_part_of_the_take_that_stands_still(
    registry: CollectorRegistry,
) -> None:
    def age() -> float | None:
        return registry.get_sample_value("longwave_live_edge_age_seconds")

    clock, take = Clock(), settings()
    origin = Origin(OriginLimits(), Metrics(registry), clock=clock)
    assert age() == 0
    other = KEY._replace(room="other")
    for key in (KEY, other):
        origin.put_take(key, TakeHeader(EPOCH_US, take, "f"))
        origin.put_init(key, "64k", init_segment(take, take.renditions[0]))
    clock.now += 3
    first = encoded(take, 0, 1)[0]
    origin.put_part(KEY, "64k", 0, 0, first.data)
    assert age() == 3
    origin.put_part(other, "64k", 0, 0, first.data)
    assert age() == 0
    clock.now += 5
    origin.put_event(KEY, TakeEvent(0, 0, "chapter", title="told, not heard"))
    assert age() == 5
    origin.put_gap(KEY, "64k", 0)
    origin.end(other, Grid(take.parts).stop_sample(Position(0, 0)))
    assert age() == 0
