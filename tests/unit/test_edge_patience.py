"""What both edges grant alike, although each says it in words of its own."""

from __future__ import annotations

import re
from pathlib import Path

EDGES = Path(__file__).parents[2] / "infra/edge"


def seconds(pattern: str, text: str) -> set[float]:
    return {float(found) for found in re.findall(pattern, text)}


def test_an_origin_has_as_long_for_a_replay_at_both() -> None:
    site = (EDGES / "nginx/site.conf").read_text()
    replays = re.findall(r"^location ~ '\^/replay/[^\n]* \{\n(?:    .*\n)+\}", site, re.MULTILINE)
    waits = [seconds(r"proxy_read_timeout (\d+)s;", location) for location in replays]
    varnish = seconds(r"first_byte_timeout = ([\d.]+)s;", (EDGES / "varnish/configuration.py").read_text())
    assert waits == [varnish, varnish] == [{20.0}, {20.0}]


def test_who_waits_for_an_answer_of_nginx_waits_for_two_origins() -> None:
    site = (EDGES / "nginx/site.conf").read_text()
    (second_try,) = seconds(r"proxy_next_upstream_timeout (\d+)ms;", site)
    patience = re.findall(r"proxy_read_timeout (\d+)s;", site)
    for lock in ("timeout", "age"):
        locks = re.findall(rf"proxy_cache_lock_{lock} (\d+)s;", site)
        assert len(locks) == len(patience) == 3
        assert all(
            float(held) > float(wait) + second_try / 1000 for held, wait in zip(locks, patience, strict=True)
        )
