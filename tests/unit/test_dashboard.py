"""The dashboard: what lies in the tree is what the code makes, and Grafana can show it."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from contracts.metrics import Metrics
from infra.grafana.__main__ import PATH
from infra.grafana.model import render
from infra.grafana.rows import ROWS
from tests.observed import asked, dashboard, metrics_in, panels, rules, told


def test_the_file_is_what_its_code_makes() -> None:
    assert PATH.read_text() == render(ROWS), "run python -m infra.grafana"


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    everything = dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    places = [panel["gridPos"] for panel in everything]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not [pair for pair in combinations(places, 2) if overlap(*pair)]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
    return across and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_asks_the_chosen_prometheus_has_a_unit_and_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == list("ABCDEF"[: len(letters)])
    for target in panel["targets"]:
        # Tiers are the same to all processes.
        assert "$instance" in target["expr"] or target["expr"].startswith("tier:")


def test_what_panels_ask_for_can_be_chosen() -> None:
    names = [variable["name"] for variable in dashboard()["templating"]["list"]]
    assert names == ["datasource", "instance"]


def test_every_metric_is_shown_or_watched() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    names = told(generate_latest(registry).decode())
    unused = {
        name
        for name in names - asked()
        # Of a histogram its buckets are enough, and each tier's listeners are counted by origins alone.
        if not name.endswith(("_sum", "_count")) and name != "longwave_listeners"
    }
    assert not unused


def test_no_recording_is_made_for_nobody() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    alerts = [rule["expr"] for rule in rules() if "alert" in rule]
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    wanted = set().union(*map(metrics_in, (*alerts, *shown)))
    assert recorded <= wanted


def test_names_are_found_in_expressions() -> None:
    """What the other tests rest on."""
    expression = (
        'sum by (le) (rate(a_b_bucket{x="rate(no)"}[5m])) / on (job) lvl:c:sum and up == 0 or d{e!~"f"} > 1e3'
    )
    assert metrics_in(expression.replace(" > 1e3", "")) == {"a_b_bucket", "lvl:c:sum", "up", "d"}


def test_what_grafana_is_told_at_its_start_is_named_where_operators_read_of_it() -> None:
    places = PATH.parents[1] / "provisioning"
    source = yaml.safe_load((places / "datasources/prometheus.yml").read_text())["datasources"][0]
    provider = yaml.safe_load((places / "dashboards/longwave.yml").read_text())["providers"][0]
    assert (source["type"], provider["type"]) == ("prometheus", "file")
    page = (PATH.parents[3] / "docs/operating.md").read_text()
    for value in (source["url"], provider["options"]["path"]):
        assert f"--env {value.strip('${}')}=" in page
