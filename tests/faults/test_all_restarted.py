"""Every process is told to stop (SIGTERM) and started again, one after the other, while rooms speak.

That is how a new version comes: each hands over what it has, ends with 0, and says nothing of errors.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import kept
from tests.cluster.bench import Bench
from tests.cluster.ear import Ear
from tests.cluster.kept_take import kept_take
from tests.cluster.talk import Voice, drift, hum, sender, silence
from tests.cluster.verdict import verdict
from tests.redis_server import RedisServer
from tests.server import Server
from tests.soak.hearing import decode
from tests.soak.line import write_wav

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.needs("redis-server", "ffmpeg")]

_ROOM = "rolling"
_VOICES_ROOM = "rolling-voice"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("bench")
    counts = {"origin": 2, "worker": 2, "ingest": 2}
    with RedisServer() as redis, Bench(directory, [redis.url], counts=counts) as bench:
        yield bench


@pytest.mark.round
async def test_one_after_the_other(
    bench: Bench, tmp_path: Path, figures: Callable[[object], None], lasting: Callable[[float, float], float]
) -> None:
    sound = hum(64)
    wav = write_wav(tmp_path / "hum.wav", sound)
    urls = [each.url for each in bench.ingests]
    voice = Voice(sound, _VOICES_ROOM, urls, "Cleo")
    origins = [each.url for each in bench.origins]
    stops: dict[str, int] = {}
    async with Ear(origins, _ROOM) as ear, Ear(origins, _VOICES_ROOM) as other:
        async with sender(wav, _ROOM, urls, "Ada"), voice.speaking():
            await ear.hears(8)
            await other.hears(5)
            # In a short run only those who have something to hand over.
            (worker,) = await asyncio.to_thread(bench.carried, _ROOM)
            some = [bench.origins[0], worker, bench.ingests[0]]
            for server in bench.servers * 2 if lasting(1, 0) else some:
                name = server.data_dir.name
                code = await asyncio.to_thread(server.stop)
                stops[name] = stops.get(name, 0) or code
                await asyncio.to_thread(bench.start, server)
                await ear.hears(5)
            # The one who spoke at an ingest that stopped went on at the other one.
            assert voice.connections > 1
        for room in (_ROOM, _VOICES_ROOM):
            answer = await asyncio.to_thread(bench.ingests[0].request, "POST", f"/rooms/{room}/end")
            assert answer.status < 300, answer.text
        heard = [await each.to_the_end() for each in (ear, other)]
    for each, room in zip(heard, (_ROOM, _VOICES_ROOM), strict=True):
        found = verdict(f"everything restarted, {room}", each, None, tmp_path, conflicts=bench.conflicts())
        recording = await asyncio.to_thread(decode, each.write(tmp_path / f"{room}.mp4"))
        silent, off = silence(recording), drift(recording)
        archived = await asyncio.to_thread(kept_take, bench, room, each)
        figures(f"{found}; silence {silent:.2f} s, beeps off by {off:.2f} s; exit codes {stops}")
        assert found.samples_lost == found.discontinuities == found.conflicts == 0
        # Whoever waits for media at an origin that leaves is sent to ask again, which its sister answers.
        assert all(_sent_away(refusal) for refusal in each.refusals), each.refusals
        assert not each.gaps
        assert found.longest_stall <= 4
        # Who speaks connects again; nothing else is heard of it.
        assert silent <= 2
        assert off < 1
        assert kept.takes(bench, room) == [each.take]
        assert archived.samples_lost == 0
        assert not archived.lacks(each)
    assert set(stops.values()) == {0}
    for server in bench.servers:
        assert not _errors(server), server.log_path


def _sent_away(refusal: str) -> bool:
    return refusal.startswith("503 ") and "?_HLS_msn=" in refusal and "shutting down" in refusal


def _errors(server: Server) -> list[str]:
    """What a process says of errors, and whatever else is no line of its log."""
    lines = server.log_path.read_text().splitlines()
    return [line for line in lines if not line.startswith("{") or json.loads(line)["level"] == "error"]
