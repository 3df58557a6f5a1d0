"""What panels ask Prometheus. `HERE` is the process that the dashboard shows, or all of them."""

from __future__ import annotations

from typing import Final

HERE: Final = 'instance=~"$instance"'


def rate(metric: str, by: str = "instance", where: str = "") -> str:
    """A second, lately; `where` is one more matcher."""
    matchers = ", ".join(filter(None, (HERE, where)))
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))"


def now(metric: str) -> str:
    """As each process says it."""
    return f"{metric}{{{HERE}}}"


def quantile(q: float, metric: str) -> str:
    """Quantile `q` of what all processes lately saw."""
    return f"histogram_quantile({q}, {rate(f'{metric}_bucket', 'le')})"


def lately(metric: str, by: str = "instance") -> str:
    """How often, in the last 5 minutes."""
    return f"sum by ({by}) (increase({metric}{{{HERE}}}[5m]))"
