"""The bounds that histograms count between, in seconds."""

from __future__ import annotations

from typing import Final

# fmt: off
LATENCY: Final = (
    0.005, 0.01, 0.02, 0.045, 0.05, 0.055, 0.06, 0.065, 0.08, 0.1, 0.15, 0.18, 0.25, 0.5, 1.0, 2.5,
)
"""From a part's last sample on the bus to the release of its listeners: 42.7 ms of it are the codec's, and
180 ms are what a server that is full takes (an alert's threshold: at a bound quantiles are exact)."""
# fmt: on

DELAY: Final = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""A voice waits for its jitter: 20 ms on a quiet line, 400 ms on the worst that is kept up with."""
