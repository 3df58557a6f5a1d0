"""What stands before an edge asks whether it is of use: a load balancer, or another edge of ours."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.edge_stage import edge_before, fetch, stand_in, until

pytestmark = [pytest.mark.needs("varnishd", "vmod_digest"), pytest.mark.timeout(90)]


async def test_an_edge_is_ready_as_long_as_one_of_its_origins_is_and_tells_no_more(tmp_path: Path) -> None:
    async with stand_in() as first, stand_in() as second:
        async with edge_before("varnish", [first.url, second.url], tmp_path) as edge:
            ready = await fetch(edge.url + "/readyz")
            assert (ready.status, json.loads(ready.body)) == (200, {"status": "ready"})
            assert ready.headers["Cache-Control"] == "no-store"
            assert (await fetch(edge.url + "/readyz", "POST")).status in {404, 405}
            first.ready = False
            await until(
                lambda: _probed(edge.working_directory, "Went sick") > 0, "the first is known to be away"
            )
            assert (await fetch(edge.url + "/readyz")).status == 200
            second.ready = False
            await until(lambda: _probed(edge.working_directory, "Went sick") > 1, "both are")
            away = await fetch(edge.url + "/readyz")
            assert (away.status, away.headers["Retry-After"]) == (503, "1")
        assert first.paths() == second.paths() == []


@pytest.mark.needs("nginx", "njs")
async def test_a_varnish_before_an_edge_finds_it_well(tmp_path: Path) -> None:
    """Of whichever program that is; both at the same time."""
    await asyncio.gather(*(_is_found_well(program, tmp_path) for program in ("varnish", "nginx")))


async def _is_found_well(program: str, tmp_path: Path) -> None:
    async with (
        stand_in() as origin,
        edge_before(program, [origin.url], tmp_path, name="behind") as behind,
        edge_before("varnish", [behind.url], tmp_path, name="before") as before,
    ):
        origin.says("/rooms.json", "here", Cache_Control="public, max-age=2")
        await until(lambda: _probed(before.working_directory, "HTTP/1.1") > 1, "it has asked twice")
        assert _probed(before.working_directory, "200 OK") > 1
        answer = await fetch(before.url + "/rooms.json")
        assert (answer.status, answer.body) == (200, b"here")
        (asked,) = origin.asked
        assert asked.headers["CDN-Loop"] == "longwave-edge, longwave-edge"


def _probed(directory: Path, words: str) -> int:
    """How many answers to a Varnish's own questions were so."""
    command = ("varnishlog", "-d", "-n", str(directory), "-g", "raw", "-i", "Backend_health")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sum(words in line for line in said.splitlines())
