"""What the process may have of its machine: the bounds of what `process_…` says that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class MachineMetrics:
    """Cores beside `process_cpu_seconds_total`, memory beside `process_resident_memory_bytes`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.cores = Gauge(
            "longwave_cores",
            "Cores that this process may keep busy, as its container allows",
            registry=registry,
        )
        self.memory_limit_bytes = Gauge(
            "longwave_memory_limit_bytes",
            "Memory that this process may take: its container's, or all of the machine's",
            registry=registry,
        )
