"""An edge or a CDN before an edge: its requests are no listeners, there as at an origin."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.edge_stage import PROGRAMS, edge_before, fetch, fresh_take, until
from tests.edges import Edge
from tests.origins import ROOM, running

pytestmark = pytest.mark.timeout(90)
LISTENERS = 6
# By RFC 8586's own example, by another edge of ours, and by both.
BEFORE = ("cloudflare", "longwave-edge", 'CDNname; abc=123, "other"; x, longwave-edge')


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def counted(port: int) -> dict[str, float]:
    """Playlists that an edge counted, by their kind."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    found: dict[str, float] = {}
    for sample in families["longwave_edge_requests"].samples:
        kind = sample.labels["kind"]
        found[kind] = found.get(kind, 0) + sample.value
    return found


def heard(port: int) -> dict[str, float]:
    """Those of media playlists."""
    return {kind: number for kind, number in counted(port).items() if kind != "multivariant"}


async def read_so_far(edge: Edge, port: int) -> None:
    """Until all lines are read: the socket to which nginx writes them holds ten, and loses what is more."""
    before = counted(port).get("multivariant", 0)
    while counted(port).get("multivariant", 0) == before:
        assert (await fetch(f"{edge.url}/live/{ROOM}/index.m3u8")).status == 200


@pytest.mark.parametrize("program", PROGRAMS)
async def test_what_comes_from_another_edge_is_answered_and_not_counted(program: str, tmp_path: Path) -> None:
    port = free_port()
    async with (
        running() as room,
        edge_before(program, [room.url], tmp_path, count="", metrics_port=str(port), name="behind") as edge,
    ):
        room.take = fresh_take()
        await room.begin()
        await room.feed((3, 2))
        await until(lambda: "listeners of the edge behind" in edge.log, "it counts")
        # What Varnish noted before its lines are read is read by nobody.
        await read_so_far(edge, port)
        names = (f"{room.line()}/index.m3u8", f"{room.line()}/index.m3u8?_HLS_msn=3&_HLS_part=1")
        for loop in BEFORE:
            answers = await asyncio.gather(*(fetch(edge.url + name, CDN_Loop=loop) for name in names))
            assert {answer.status for answer in answers} == {200}
        # Lines are read in their order: once these are counted, the others would have been.
        for name in names:
            await read_so_far(edge, port)
            answers = await asyncio.gather(*(fetch(edge.url + name) for _ in range(LISTENERS)))
            assert {answer.status for answer in answers} == {200}
        await until(lambda: heard(port).get("blocking_playlist", 0) >= LISTENERS, "listeners are counted")
        assert heard(port) == {"playlist": LISTENERS, "blocking_playlist": LISTENERS}
