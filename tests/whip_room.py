"""A WHIP server for tests without the rest of Longwave: a real port, and an ingest that only listens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import numpy as np
from aiohttp import web
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from contracts.access import Grant, guard
from contracts.errors import LongwaveError
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.tokens import TokenGate
from pipeline.mix.sound import Sound
from pipeline.mix.strip import Strip
from pipeline.voice.opus import OpusDecoder
from pipeline.voice.packet import VoicePacket
from workers.speaker import VoiceSpeaker
from workers.whip.http_whip import add_whip_routes
from workers.whip.settings import WhipSettings

SDP: Final = {"Content-Type": "application/sdp"}


class ListeningIngest:
    """Keeps what every speaker sent. `refuse` is raised instead of letting one in."""

    def __init__(self) -> None:
        self.speakers: list[VoiceSpeaker] = []
        self.packets: list[VoicePacket] = []
        self.alive_calls = 0
        self.left: list[VoiceSpeaker] = []
        self.refuse: LongwaveError | None = None
        self.hear_raises: Exception | None = None
        self.channels = 1

    async def connect_voice(self, room: str, name: str | None, *, grant: Grant) -> VoiceSpeaker:
        if self.refuse is not None:
            raise self.refuse
        source: Any = SimpleNamespace(channels=self.channels, muted=False)
        speaker = VoiceSpeaker(room, name, "whip", grant, source, Strip(self.channels, Sound()))
        self.speakers.append(speaker)
        return speaker

    def hear(self, speaker: VoiceSpeaker, packet: VoicePacket) -> None:
        assert speaker not in self.left
        if self.hear_raises is not None:
            raise self.hear_raises
        self.packets.append(packet)

    def alive(self, speaker: VoiceSpeaker) -> None:
        assert speaker not in self.left
        self.alive_calls += 1

    def leave(self, speaker: VoiceSpeaker) -> None:
        self.left.append(speaker)

    def heard(self) -> NDArray[np.float32]:
        """What was said, decoded in the order of its time stamps, shape (n, channels)."""
        decoder = OpusDecoder(self.channels)
        first = self.packets[0].timestamp
        packets = sorted(self.packets, key=lambda packet: (packet.timestamp - first) % 2**32)
        return np.concatenate([decoder.decode(packet.payload) for packet in packets])


class WhipServer:
    """`url`, the `ingest` behind it, its `metrics`."""

    def __init__(self, url: str, ingest: ListeningIngest, metrics: Metrics, runner: web.AppRunner) -> None:
        self.url, self.ingest, self.metrics = url, ingest, metrics
        self.stop = runner.cleanup

    def ends(self) -> dict[str, int]:
        """How sessions ended so far, by outcome."""
        samples = [sample for metric in self.metrics.whip_sessions.collect() for sample in metric.samples]
        return {
            sample.labels["outcome"]: int(sample.value)
            for sample in samples
            if sample.name.endswith("_total") and sample.value
        }


@contextlib.asynccontextmanager
async def whip_server(
    settings: WhipSettings | None = None, gate: TokenGate | None = None
) -> AsyncIterator[WhipServer]:
    """Open to everybody by default, on a free port of loopback."""
    metrics, ingest = Metrics(CollectorRegistry()), ListeningIngest()
    app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)], client_max_size=0)
    guard(app, gate or TokenGate())
    add_whip_routes(app, ingest, settings or WhipSettings(), metrics)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield WhipServer(f"http://127.0.0.1:{runner.addresses[0][1]}", ingest, metrics, runner)
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"not {what}"
        await asyncio.sleep(0.01)


async def ended(server: WhipServer, outcome: str) -> None:
    await until(lambda: outcome in server.ends(), outcome)
    assert server.ends() == {outcome: 1}
    assert server.ingest.left == server.ingest.speakers


async def ask(
    server: WhipServer, method: str, path: str, body: str | bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, server.url + path, data=body, headers=headers) as response,
    ):
        return response.status, await response.text(), dict(response.headers)
