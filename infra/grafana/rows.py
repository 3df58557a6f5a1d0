"""What the dashboard shows, from listeners to the machine."""

from __future__ import annotations

from typing import Final

from infra.grafana.keeping import MACHINE, STORAGE
from infra.grafana.listening import EDGES, LATENCY, LISTENERS
from infra.grafana.making import BUS, ENCODING, INGEST

ROWS: Final = {
    "Listeners and tiers": LISTENERS,
    "Origins and edges": EDGES,
    "Latency": LATENCY,
    "Encoding": ENCODING,
    "Ingest": INGEST,
    "Bus": BUS,
    "Storage": STORAGE,
    "Machine": MACHINE,
}
