"""A take that ends its process: three times, and then it gets gaps, and every other room is left alone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import DependencyError, LongwaveError
from longwave.publish import PublishOptions, publish
from tests.faults import crashing
from tests.server import Server

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

INSIDE = (sys.executable, crashing.__file__)


def tone(path: Path, amplitude: int) -> Path:
    """Ten seconds that begin and end at zero."""
    samples = (amplitude * np.sin(2 * np.pi * 300 * np.arange(10 * 48_000) / 48_000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


@contextlib.asynccontextmanager
async def speaking(server: Server, room: str, sound: Path) -> AsyncIterator[None]:
    """Somebody who plays `sound` again and again, and connects again whenever the server is back."""

    async def speak() -> None:
        with contextlib.suppress(LongwaveError):
            while True:
                # Who was never let in waits 10 s for a server, which may take longer to start.
                with contextlib.suppress(DependencyError):
                    await publish(PublishOptions(sound, room, server.url, speaker="Ada", loop=True))

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    """Poll from a thread, so that senders go on."""
    await asyncio.to_thread(Server.wait_for, condition, seconds)


def segments(server: Server, room: str) -> list[str]:
    """Of each whole segment that is listed: its name, or "gap"."""
    text = server.media_playlist(room, "64k")
    blocks = text.split("#EXTINF")[1:]
    before = [text.split("#EXTINF")[0], *blocks][:-1]
    return [
        "gap" if "#EXT-X-GAP" in ahead.rsplit(".m4s\n", 1)[-1] else block.split("\n")[1]
        for ahead, block in zip(before, blocks, strict=True)
    ]


async def test_a_take_that_crashes_its_process_three_times_is_let_alone_and_hurts_nobody(
    tmp_path: Path,
) -> None:
    quiet, loud = tone(tmp_path / "quiet.wav", 6000), tone(tmp_path / "loud.wav", 30_000)
    with Server(tmp_path / "data", inside=INSIDE) as server:
        async with speaking(server, "good", quiet):
            async with speaking(server, "bad", quiet):
                await until(lambda: len(segments(server, "bad")) >= 2 <= len(segments(server, "good")))
            async with speaking(server, "bad", loud):
                for _ in range(3):
                    await until(lambda: server.process is not None and server.process.poll() is not None)
                    assert server.stop() == -signal.SIGSEGV
                    await asyncio.to_thread(server.start)
                good = len(segments(server, "good"))
                await until(lambda: segments(server, "bad")[-2:] == ["gap", "gap"])
                gaps = segments(server, "bad").count("gap")
                ready = server.get("/readyz").json
                assert ready["status"] == "ready"
                assert "quarantine: encoding failed again and again, in rooms: 1" in ready["degraded"]
                assert "longwave_takes_quarantined 1.0" in server.get("/metrics").text
                await until(lambda: len(segments(server, "good")) >= good + 2)
                assert segments(server, "good")[-1] != "gap"
                await until(lambda: segments(server, "bad").count("gap") > gaps)
                assert server.process is not None
                assert server.process.poll() is None
                assert server.request("POST", "/rooms/bad/end").status < 300
                await until(lambda: "#EXT-X-ENDLIST" in server.media_playlist("bad", "64k"))
        log = server.log_path.read_text()
    assert log.count("a take is in quarantine") == 1
    assert log.count("the last process crashed") == 3
