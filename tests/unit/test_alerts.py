"""Alert rules: promtool takes them, each is tested, and each says what to do and where to read on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import programs
from tests.observed import PROMETHEUS, rules, shown

ALERTS = [rule for rule in rules() if "alert" in rule]
DOCS = PROMETHEUS.parent.parent


def promtool(*args: str, cwd: Path = PROMETHEUS) -> str:
    """What it says; it has to be pleased."""
    done = subprocess.run(
        [programs.path("promtool"), *args], cwd=cwd, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.needs("promtool")
def test_promtool_takes_the_configuration_and_its_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "config", "prometheus.yml")


@pytest.mark.needs("promtool")
def test_each_alert_fires_for_its_reason_and_not_for_less() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


@pytest.mark.needs("promtool")
def test_an_alert_that_never_fires_fails_its_test(tmp_path: Path) -> None:
    """What the test before rests on: promtool sees alerts that are pending and those that fire."""
    for name in ("recording.yml", "alerts.yml", "alerts_test.yml"):
        (tmp_path / name).write_text((PROMETHEUS / name).read_text().replace("for: 30s", "for: 30m"))
    done = subprocess.run(
        [programs.path("promtool"), "test", "rules", "alerts_test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert 'alertname="LongwaveLiveEdgeStuck"' in done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_promtool_understands_what_the_dashboard_asks(tmp_path: Path) -> None:
    asked = [expression.replace("$__rate_interval", "1m") for expression in shown()]
    recorded = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "asked.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]})
    )
    assert f"{len(asked)} rules found" in promtool("check", "rules", "asked.yml", cwd=tmp_path)


def test_every_alert_has_a_test() -> None:
    tested = re.findall(r'alertname="(\w+)"', (PROMETHEUS / "alerts_test.yml").read_text())
    assert set(tested) == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_to_do_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith((".", "?"))
    page, anchor = rule["annotations"]["runbook"].split("#")
    text = (DOCS / page).read_text()
    assert f"`{rule['alert']}`" in text
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
