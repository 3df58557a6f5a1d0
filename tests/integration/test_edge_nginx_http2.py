"""Crowds that come to nginx by HTTP/2: many requests on few connections."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from tests import programs
from tests.edge_stage import edge_before, fresh_take, stand_in
from tests.edge_waiting import Inside
from tests.edges import Tls

pytestmark = [pytest.mark.needs("nginx", "njs", "h2load"), pytest.mark.timeout(120)]
CONNECTIONS, STREAMS = 10, 110
CROWD = CONNECTIONS * STREAMS


def certificate(directory: Path) -> Tls:
    issued = trustme.CA().issue_cert("127.0.0.1")
    chain, key = directory / "chain.pem", directory / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(chain), append=True)
    return Tls(chain, key)


async def test_more_than_a_thousand_who_wait_for_one_thing_are_one_request(tmp_path: Path) -> None:
    """Uses of a key are counted in ten bits: with the 1,024th they begin anew."""
    released = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response(text="#EXTM3U\n", headers={"Cache-Control": "public, max-age=12"})

    path = f"/live/room/{fresh_take()}/64k/index.m3u8?_HLS_msn=3"
    async with (
        stand_in() as origin,
        edge_before("nginx", [origin.url], tmp_path, tls=certificate(tmp_path)) as edge,
    ):
        origin.answers[path] = wait
        inside = Inside(edge)
        load = await asyncio.create_subprocess_exec(
            programs.path("h2load"),
            *("-n", str(CROWD), "-c", str(CONNECTIONS), "-m", str(STREAMS)),
            f"{edge.url}{path}",
            stdout=subprocess.PIPE,
        )
        await inside.are(CROWD)
        released.set()
        said, _ = await load.communicate()
        assert f"status codes: {CROWD} 2xx" in said.decode()
        assert origin.paths() == [path]
