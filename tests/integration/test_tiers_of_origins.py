"""Tiers of real origins: over `kill -9`, and of two that know each other through Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from contracts.take import TakeHeader
from pipeline.boxes import init_segment
from tests.bus_writing import eventually
from tests.origins import KEY, ROOM, RunningOrigin, settings
from tests.redis_server import RedisServer
from tests.server import Server
from workers.redis_bus import keys

TIERS = {
    "LONGWAVE_PUBLIC_URL": "http://origin.example",
    "LONGWAVE_EDGE_URL": "http://edge.example",
    "LONGWAVE_CDN_URL": "http://cdn.example",
}


@asynccontextmanager
async def fed(server: Server) -> AsyncIterator[RunningOrigin]:
    """A take at a server that began a moment ago: an old one would not be reloaded."""
    async with aiohttp.ClientSession() as session:
        room = RunningOrigin(server.url, cast("Any", None), session, settings())
        header = TakeHeader(time.time_ns() // 1000 - 2_000_000, settings(), "0" * 64)
        assert (await room.put("take.json", json.dumps(header.to_json()).encode())).status == 201
        init = init_segment(header.settings, header.settings.renditions[0])
        assert (await room.put("64k/init.mp4", init)).status == 201
        await room.feed((1, 0))
        yield room


def tell(server: Server, listeners: int, tier: str = "edge") -> None:
    body = json.dumps({"tier": tier, "rooms": {ROOM: listeners}}).encode()
    assert server.request("PUT", f"/edges/{tier}-1/listeners", body).status == 204


def told(server: Server) -> tuple[object, object, object]:
    said = server.get(f"/listen/{ROOM}.json").json
    return said["tier"], said["bases"], said["listeners"]


async def test_a_room_is_where_it_was_after_its_origin_was_killed(tmp_path: Path) -> None:
    with Server(tmp_path / "data", command="origin", env=TIERS) as server:
        async with fed(server):
            tell(server, 2000, "cdn")
            assert told(server) == ("cdn", ["http://cdn.example"], 2000)
            kept = tmp_path / "data" / "tiers.json"
            await eventually(
                lambda: kept.exists() and json.loads(kept.read_bytes()) == {"/".join(KEY): "cdn"}
            )
            journal = tmp_path / "data" / "window" / ROOM
            await eventually(
                lambda: sum(file.stat().st_size for file in journal.rglob("*") if file.is_file()) > 9000
            )
        server.kill()
        server.start()
        # Nobody has told it of a single listener.
        assert told(server) == ("cdn", ["http://cdn.example"], 0)


@pytest.mark.needs("redis-server")
async def test_two_origins_count_an_edge_once_and_agree_on_the_tier(tmp_path: Path) -> None:
    with RedisServer() as redis:
        env = TIERS | {"LONGWAVE_BUS": redis.url}
        one, two = (Server(tmp_path / name, command="origin", env=env) for name in ("one", "two"))
        with one, two:
            async with fed(one), fed(two):
                tell(one, 150)
                assert told(one) == ("edge", ["http://edge.example"], 150)
                await eventually(lambda: told(two) == ("edge", ["http://edge.example"], 150))

                def beats() -> list[int]:
                    said = cast("dict[bytes, bytes]", redis.client().hgetall(keys.NODES))
                    return sorted(json.loads(beat)["listeners"] for beat in said.values())

                async with asyncio.timeout(30):
                    while beats() != [0, 150]:
                        tell(one, 150)
                        tell(two, 150)
                        await asyncio.sleep(0.2)
                assert [told(each)[2] for each in (one, two)] == [150, 150]
