"""Redis is gone, comes back empty, or forgets everything: rooms go on, or wait and catch up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.grid import SAMPLE_RATE
from tests.cluster.bench import Bench, wait_for
from tests.cluster.heard_room import heard_room
from tests.e2e.listener import MAY_PLAY, chromium, listening
from tests.e2e.speaker import Speaker
from tests.redis_server import RedisServer
from tests.server import Server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.needs("redis-server", "ffmpeg")]

_COUNTS = {"origin": 1, "worker": 2}


@dataclass(frozen=True)
class Two:
    """A bench on one Redis, and one on that and another one."""

    redis: RedisServer
    one: Bench
    both: Bench


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    directory = tmp_path_factory.mktemp("bench")
    with RedisServer() as redis, RedisServer() as other:
        again = redis.url.removesuffix("0") + "1"
        with (
            Bench(directory / "one", [redis.url], counts=_COUNTS) as one,
            Bench(directory / "both", [again, other.url], counts=_COUNTS) as both,
        ):
            yield Two(redis, one, both)


@pytest.mark.round
async def test_gone_and_empty(
    two: Two, tmp_path: Path, figures: Callable[[object], None], lasting: Callable[[float, float], float]
) -> None:
    away = lasting(180, 8)
    async with (
        heard_room(two.one, "gone", tmp_path, away + 60) as alone,
        heard_room(two.both, "gone2", tmp_path, away + 60) as doubled,
    ):
        two.redis.kill()
        before = len(alone.heard.parts)
        await asyncio.sleep(away)
        assert len(alone.heard.parts) <= before + 2
        await asyncio.to_thread(two.redis.start)
        back = time.monotonic()
        await alone.ear.hears(2)
        resumed = time.monotonic() - back
        await alone.ear.hears(10)
        await asyncio.gather(alone.end(), doubled.end())
    first = alone.judge("Redis gone, then empty, one bus", whole=away < 55)
    second = doubled.judge("Redis gone, then empty, two buses")
    figures(f"{first}; away {away:.0f} s, resumed {resumed:.1f} s after")
    figures(second)
    assert resumed < 5
    lost_at_most = 0 if away < 55 else (away - 60 + 5) * SAMPLE_RATE
    assert first.samples_lost <= lost_at_most
    assert first.discontinuities == first.conflicts == 0
    refused = {each.partition(" ")[0] for each in alone.heard.refusals}
    assert refused <= {"503"}, alone.heard.refusals
    assert all("?_HLS_msn=" in each for each in alone.heard.refusals)
    assert second.samples_lost == 0
    assert second.longest_stall < 0.5, "what this machine is late for, no more"
    assert second.discontinuities == second.errors_5xx == second.conflicts == 0


async def test_flushed(two: Two, tmp_path: Path, figures: Callable[[object], None]) -> None:
    async with (
        heard_room(two.one, "flushed", tmp_path, 60) as alone,
        heard_room(two.both, "flushed2", tmp_path, 60) as doubled,
    ):
        await asyncio.to_thread(two.redis.command, "FLUSHALL")
        await alone.ear.hears(10)
        with two.redis.client() as client:
            names = {name.decode() for name in client.scan_iter()}
            assert {"lw:nodes", "lw:takes", "lw:{flushed}:owner", "lw:{flushed}:live"} <= names
            assert client.hlen("lw:nodes") == 4
            assert client.smembers("lw:takes") == {f"flushed/{alone.heard.take}".encode()}
        await asyncio.gather(alone.end(), doubled.end())
    for room, name in ((alone, "one bus"), (doubled, "two buses")):
        found = room.judge(f"FLUSHALL, {name}")
        figures(found)
        assert found.samples_lost == 0
        assert found.discontinuities == found.errors_5xx == found.conflicts == 0
        assert found.longest_stall <= 4


@pytest.mark.needs("chromium", "hls.js")
def test_a_player_recovers_and_who_comes_meanwhile_is_let_in(
    two: Two, figures: Callable[[object], None], lasting: Callable[[float, float], float]
) -> None:
    bench, room = two.one, "played"
    origin, ingest = bench.origins[0], bench.ingests[0]
    with (
        chromium(MAY_PLAY) as browser,
        Speaker(ingest.url, room),
        listening(browser, f"{origin.url}/listen/{room}") as listener,
    ):
        listener.wait_for_playback()
        take = listener.knows["take"]
        two.redis.kill()
        gone = time.monotonic()
        # Their numbers say the rest: they begin to serve without a Redis.
        late = [bench.make("ingest"), bench.make("worker")]
        bench.start(*late)
        with Speaker(ingest.url, room, name="late"):
            wait_for(lambda: "late" in _speakers(ingest, room))
            for each in (ingest, late[0]):
                refused = each.request("PUT", "/pcm/new?channels=1", bytes(96_000))
                assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            playlist = f"/live/{room}/{take}/64k/index.m3u8"
            while time.monotonic() - gone < lasting(100, 8):
                listener.page.wait_for_timeout(500)
                for path in (
                    f"/live/{room}/index.m3u8",
                    playlist,
                    playlist.replace("index.m3u8", "init.mp4"),
                ):
                    assert origin.get(path).status == 200
            two.redis.start()
            back = time.monotonic()
            listener.wait_until(lambda knows: knows["state"] == "live", "it plays again")
            listener.wait_for_playback(2.0)
            recovered = time.monotonic() - back
        assert listener.knows["take"] == take
        assert not listener.errors
        # Owners have had their time to say that they are there: rooms are to be had again, everywhere.
        wait_for(lambda: late[0].request("PUT", "/pcm/new?channels=1", bytes(96_000)).status == 200)
        wait_for(lambda: origin.get("/live/new/index.m3u8").status == 200)
        wait_for(lambda: {each.url for each in late} <= {node["url"] for node in bench.state()["nodes"]})
    for each in late:
        each.kill()
    figures(f"our player plays again and played 2 s, {recovered:.1f} s after Redis was back, empty")
    assert recovered < 15


def _speakers(ingest: Server, room: str) -> str:
    answer = ingest.get(f"/rooms/{room}")
    return answer.text if answer.status == 200 else ""
