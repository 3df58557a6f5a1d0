"""The ingest that owns rooms dies, freezes, or is gone for good: takes go on elsewhere, or end there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import kept
from tests.cluster.bench import Bench, metric, wait_for
from tests.cluster.ear import Ear, Heard
from tests.cluster.talk import Voice, drift, hum, sender, silence
from tests.cluster.verdict import Verdict, verdict
from tests.redis_server import RedisServer
from tests.soak.hearing import decode
from tests.soak.line import write_wav

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.needs("redis-server", "ffmpeg")]

Lasting = Callable[[float, float], float]
Figures = Callable[[object], None]

# What the table allows; and the longest that its senders take to find out and to be let in again.
_MOST_SILENCE = 4.0
_RECONNECT = 3.0
# A browser that hears nothing of its server says so after some seconds.
_VOICE_NOTICES = 2.0
_IDLE = 8
# What an owner says is in Redis a tenth of a second later; this machine may be busy.
_LAST_MOMENT = 0.5


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("bench")
    counts = {"origin": 1, "worker": 1, "ingest": 2}
    idle = {"LONGWAVE_IDLE_TIMEOUT": str(_IDLE)}
    with RedisServer() as redis, Bench(directory, [redis.url], counts=counts, env=idle) as bench:
        yield bench


class Rooms:
    """Three rooms of the first ingest: Ada sends PCM, Bob does through the other one, Cleo speaks by WHIP."""

    def __init__(self, bench: Bench, fault: str, directory: Path) -> None:
        self.bench, self.fault, self.directory = bench, fault, directory
        self.names = [f"{fault}-{kind}" for kind in ("pcm", "relayed", "whip")]
        self.ears = [Ear([each.url for each in bench.origins], name) for name in self.names]
        sound = hum(64)
        self._wav = write_wav(directory / "hum.wav", sound)
        # Nobody hears her: she makes the room the first ingest's.
        self._still = write_wav(directory / "still.wav", sound * 0)
        urls = [each.url for each in bench.ingests]
        self.voice = Voice(sound, self.names[2], urls, "Cleo")
        self._urls = urls

    async def speak(self, stack: AsyncExitStack) -> None:
        """All of them are heard."""
        pcm, relayed, _ = self.names
        for ear in self.ears:
            await stack.enter_async_context(ear)
        await stack.enter_async_context(sender(self._wav, pcm, self._urls, "Ada"))
        await stack.enter_async_context(sender(self._still, relayed, self._urls, "Host"))
        # Senders go on to the second one when the first does not answer within a second, and a browser begins
        # with so much work in this process that they may believe so.
        await self.ears[0].hears(1)
        await self.ears[1].hears(1)
        await stack.enter_async_context(self.voice.speaking())
        await stack.enter_async_context(sender(self._wav, relayed, self._urls[::-1], "Bob"))
        for name in self.names:
            await self.ask("GET", name, "", lambda said: bool(said["live"]["speakers"]))
        await self.ask("GET", relayed, "", lambda said: len(said["live"]["speakers"]) == 2)
        for ear in self.ears:
            await ear.hears(5)

    async def chapter(self, title: str, at: int) -> None:
        """A host says where a chapter begins, through one of the ingests."""
        for name in self.names:
            body = json.dumps({"title": title}).encode()
            await self.ask("POST", name, "/chapters", lambda _: True, body, at=at)
        # What was said in an owner's last moment dies with it.
        await asyncio.sleep(_LAST_MOMENT)

    async def ask(
        self,
        method: str,
        name: str,
        path: str,
        fits: Callable[[Any], bool],
        body: bytes | None = None,
        at: int = 0,
    ) -> None:
        """Ask for a room until the answer is as it should be."""

        def asked() -> bool:
            answer = self.bench.ingests[at].request(method, f"/rooms/{name}{path}", body)
            return answer.status < 300 and fits(answer.json)

        await asyncio.to_thread(wait_for, asked)

    async def end(self, at: int) -> list[Heard]:
        """The host ends all of them through one of the ingests."""
        for name in self.names:
            await self.ask("POST", name, "/end", lambda _: True, at=at)
        return [await ear.to_the_end() for ear in self.ears]

    def judge(self, heard: Sequence[Heard], figures: Figures) -> None:
        """The same take in each room, without a hole; its story is that of both owners."""
        found: list[tuple[Verdict, float, float]] = []
        for name, each in zip(self.names, heard, strict=True):
            judged = verdict(f"ingest {name}", each, None, self.directory)
            recording = decode(each.write(self.directory / f"{name}.mp4"))
            found.append((judged, silence(recording), drift(recording)))
            figures(f"{judged}; silence {found[-1][1]:.2f} s, beeps off by {found[-1][2]:.2f} s")
        for name, each, (judged, silent, off) in zip(self.names, heard, found, strict=True):
            assert judged.samples_lost == judged.discontinuities == 0, name
            assert not each.gaps, name
            _assert_only_waited(each)
            assert silent <= _MOST_SILENCE + _RECONNECT, name
            # What a PUT gave to an ingest that stood still is heard late, and not left out.
            assert off <= _RECONNECT, name
            assert kept.takes(self.bench, name) == [each.take], name
            assert kept.replay(self.bench, name, each.take)["samples"] > 0, name
            told = kept.story(self.bench, name, each.take)
            assert [chapter["title"] for chapter in told["chapters"]] == ["before", "after"], name
            joined = {each["name"]: len(each["joined"]) for each in told["speakers"]}
            assert joined == dict.fromkeys(_speakers(name), 2), name


def _assert_only_waited(heard: Heard) -> None:
    """Nobody is refused but who waits for media that does not come: after 6 s they are told so."""
    assert all(each.startswith("503 ") and "?_HLS_msn=" in each for each in heard.refusals), heard.refusals


def _speakers(name: str) -> set[str]:
    return {"pcm": {"Ada"}, "relayed": {"Host", "Bob"}, "whip": {"Cleo"}}[name.rpartition("-")[2]]


@pytest.mark.round
async def test_killed(bench: Bench, tmp_path: Path, figures: Figures) -> None:
    owner = bench.ingests[0]
    rooms = Rooms(bench, "killed", tmp_path)
    async with AsyncExitStack() as stack:
        await rooms.speak(stack)
        await rooms.chapter("before", 1)
        owner.kill()
        await asyncio.sleep(_VOICE_NOTICES)
        rooms.voice.lose()
        for ear in rooms.ears:
            await ear.hears(5)
        await rooms.chapter("after", 1)
        await asyncio.to_thread(bench.start, owner)
        # What it had is not its own any more, and a host may ask it all the same.
        heard = await rooms.end(0)
    await asyncio.to_thread(rooms.judge, heard, figures)


async def test_frozen_and_thawed(bench: Bench, tmp_path: Path, figures: Figures, lasting: Lasting) -> None:
    owner = bench.ingests[0]
    rooms = Rooms(bench, "frozen", tmp_path)
    async with AsyncExitStack() as stack:
        await rooms.speak(stack)
        await rooms.chapter("before", 0)
        owner.freeze()
        frozen_at = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(_VOICE_NOTICES)
            rooms.voice.lose()
            for ear in rooms.ears:
                await ear.hears(5)
            await asyncio.sleep(max(0.0, frozen_at + lasting(10, 0) - asyncio.get_running_loop().time()))
        finally:
            owner.thaw()
        await asyncio.to_thread(wait_for, lambda: metric(owner, "longwave_rooms_deposed_total") >= 3)
        for ear in rooms.ears:
            await ear.hears(5)
        await rooms.chapter("after", 0)
        heard = await rooms.end(0)
    await asyncio.to_thread(rooms.judge, heard, figures)
    assert bench.conflicts() == 0


async def test_nobody_comes_back(bench: Bench, tmp_path: Path, figures: Figures) -> None:
    owner = bench.ingests[0]
    wav = write_wav(tmp_path / "hum.wav", hum(32))
    async with Ear([bench.origins[0].url], "left") as ear:
        async with sender(wav, "left", [owner.url], "Ada"):
            await ear.hears(15)
            owner.kill()
            loop = asyncio.get_running_loop()
            killed_at = loop.time()
        heard = await ear.to_the_end(3 * _IDLE)
        waited = loop.time() - killed_at
    told = await asyncio.to_thread(kept.story, bench, "left", heard.take)
    record = await asyncio.to_thread(kept.replay, bench, "left", heard.take)
    judged = verdict("ingest killed, nobody comes back", heard, None, tmp_path)
    figures(f"{judged}; ended after {waited:.1f} s, with an idle timeout of {_IDLE} s")
    assert judged.samples_lost == judged.discontinuities == 0
    _assert_only_waited(heard)
    assert told["samples"] == record["samples"]
    assert [each["name"] for each in told["speakers"]] == ["Ada"]
    assert told["events"]
    assert waited < 2 * _IDLE
    assert not [take for take in bench.state()["takes"] if take["room"] == "left"]
    replay = bench.origins[0].get(f"/replay/left/{heard.take}.m4a")
    assert replay.status == 200
    await asyncio.to_thread(bench.start, owner)
