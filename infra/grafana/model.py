"""From rows of panels to Grafana's dashboard model (the classic one, which Grafana 10 and later read).

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Grafana 11's; later ones migrate by themselves when they read it.
_SCHEMA: Final = 39
_COLUMNS: Final = 24
_HEIGHT: Final = 7
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

Unit = Literal["short", "s", "bytes", "percentunit", "reqps", "cps", "binBps", "bool_on_off"]
"""Units as Grafana names them; `percentunit` shows 0.7 as 70 %."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: each query's expression, and what its lines are called.

    `alarm` is drawn as a line: where an alert begins.
    """

    title: str
    unit: Unit
    queries: Mapping[str, str]
    says: str
    alarm: float | None = None
    stacked: bool = False
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 8


def render(rows: Mapping[str, Sequence[Panel]]) -> str:
    """The dashboard's JSON, the same for the same rows."""
    panels: list[dict[str, object]] = []
    top = 0
    for title, row in rows.items():
        panels.append(_row(len(panels) + 1, title, top))
        top += 1
        left = 0
        for panel in row:
            if left + panel.width > _COLUMNS:
                left, top = 0, top + _HEIGHT
            panels.append(_panel(len(panels) + 1, panel, left, top))
            left += panel.width
        top += _HEIGHT
    return json.dumps(_dashboard(panels), indent=1, ensure_ascii=False) + "\n"


def _dashboard(panels: list[dict[str, object]]) -> dict[str, object]:
    return {
        "uid": "longwave",
        "title": "Longwave",
        "description": "Live audio rooms, from microphones to listeners. docs/operating.md says what to do.",
        "tags": ["longwave"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,  # one crosshair in all panels
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source(), _instance()]},
        "annotations": {"list": [_alerts()]},
        "panels": panels,
    }


def _source() -> dict[str, object]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _instance() -> dict[str, object]:
    query = 'label_values(up{job=~"longwave.*"}, instance)'
    return {
        "name": "instance",
        "label": "Process",
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "instances"},
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _alerts() -> dict[str, object]:
    """Alerts that fire are marked in every panel."""
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Longwave.*", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}}",
    }


def _row(number: int, title: str, top: int) -> dict[str, object]:
    place = {"h": 1, "w": _COLUMNS, "x": 0, "y": top}
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }


def _panel(number: int, panel: Panel, left: int, top: int) -> dict[str, object]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": _SOURCE,
        "gridPos": {"h": _HEIGHT, "w": panel.width, "x": left, "y": top},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for index, (legend, expression) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _STAT if panel.kind == "stat" else _LEGEND,
    }


_LEGEND: Final = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
_STAT: Final = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "value",
    "graphMode": "area",
}


def _field(panel: Panel) -> dict[str, object]:
    steps: list[dict[str, object]] = [{"color": "green", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    field: dict[str, object] = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        field["custom"] = {
            "fillOpacity": 20 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "showPoints": "never",
            "thresholdsStyle": {"mode": "off" if panel.alarm is None else "line"},
        }
    return field
