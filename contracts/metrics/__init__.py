"""Every metric by name, in Prometheus' units. One `Metrics` a process, handed to whoever counts.

A file for each group; to whoever counts they are one. Labels tell classes apart (kinds, outcomes, reasons)
and what an operator has set up (buses, origins, tiers): never rooms, of which there is no end.

What an alert takes for an event (an increase of a counter with labels) is there as 0 from the start: a first
sample is no increase to Prometheus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.metrics.archive import ArchiveMetrics
from contracts.metrics.bus import BusMetrics
from contracts.metrics.encoding import EncodingMetrics
from contracts.metrics.http import HttpMetrics
from contracts.metrics.ingest import IngestMetrics
from contracts.metrics.machine import MachineMetrics
from contracts.metrics.origin import OriginMetrics
from contracts.metrics.tiers import TierMetrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class Metrics(
    HttpMetrics,
    OriginMetrics,
    TierMetrics,
    IngestMetrics,
    EncodingMetrics,
    ArchiveMetrics,
    BusMetrics,
    MachineMetrics,
):
    """The process' metrics, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        HttpMetrics.__init__(self, registry)
        OriginMetrics.__init__(self, registry)
        TierMetrics.__init__(self, registry)
        IngestMetrics.__init__(self, registry)
        EncodingMetrics.__init__(self, registry)
        ArchiveMetrics.__init__(self, registry)
        BusMetrics.__init__(self, registry)
        MachineMetrics.__init__(self, registry)
