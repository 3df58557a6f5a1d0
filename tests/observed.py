"""What dashboards and rules ask Prometheus for, and what a process tells it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

PROMETHEUS = Path(__file__).parent.parent / "infra/prometheus"
DASHBOARD = Path(__file__).parent.parent / "infra/grafana/dashboards/longwave.json"

# Of PromQL, what is written as a word and is not a metric; the words in parentheses after these are labels.
# fmt: off
_WORDS = frozenset({
    "and", "count", "histogram_quantile", "increase", "max", "max_over_time", "or", "rate", "sum",
})
# fmt: on
_NOT_METRICS = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|on|ignoring|without|group_left)\s*\([^)]*\)')
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def rules() -> Iterator[dict[str, Any]]:
    """Every recording rule and every alert."""
    for name in ("recording.yml", "alerts.yml"):
        for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"]:
            yield from group["rules"]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    read = json.loads(DASHBOARD.read_text())
    assert isinstance(read, dict)
    return read


def panels() -> list[dict[str, Any]]:
    """Its panels, without the rows that they stand in."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def shown() -> list[str]:
    """The expressions of its panels."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def metrics_in(expression: str) -> set[str]:
    """The names of the series that an expression asks for."""
    rest = _NOT_METRICS.sub(" ", _NOT_METRICS.sub(" ", expression))
    return {name for name in _NAME.findall(rest) if name not in _WORDS}


def told(text: str) -> set[str]:
    """The names of the series that a process tells of, or will once there is something to tell."""
    names: set[str] = set()
    for family in text_string_to_metric_families(text):
        match family.type:
            case "counter":
                names.add(f"{family.name}_total")
            case "histogram":
                names |= {f"{family.name}_{end}" for end in ("bucket", "count", "sum")}
            case _:
                names.add(family.name)
    # When each counter began: the client's own.
    return {name for name in names if not name.endswith("_created")}


def asked() -> set[str]:
    """Every series that dashboard and rules ask a process for: not what rules record, nor Prometheus' own."""
    expressions = [*shown(), *(rule["expr"] for rule in rules())]
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    return set().union(*map(metrics_in, expressions)) - recorded - {"up"}
