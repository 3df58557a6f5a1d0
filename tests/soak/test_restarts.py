"""kill -9 and a restart, five times, while a sender sends and a client records: no URL gets a second body."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.server import Server
from tests.soak.hearing import known_sound
from tests.soak.line import write_wav
from tests.soak.recorder import Recorder, Recording
from tests.soak.running import Program

ROOM = "restarts"
KILLS = 5
# Long enough for the journal, the reservations and some whole segments; not a multiple of a segment, so that
# each kill hits another place.
BETWEEN_SECONDS = 11.3


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_no_url_has_two_bodies_after_five_kills(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "x.wav", known_sound(180))
    with Server(tmp_path / "data") as server:
        argv = [sys.executable, "-m", "longwave", "publish", str(wav), "--room", ROOM, "--url", server.url]
        with Program(argv, tmp_path / "publish.log") as publisher:
            recording, still_there = await _record_through_kills(server, publisher)
    print(f"\n{_report(recording)}, {still_there} URLs asked again")  # noqa: T201 - `make soak` is read by people
    assert [c for c in recording.complaints if c.kind == "bytes"] == []
    assert recording.away >= KILLS
    # Everything that was not a gap is there, on both sides of every kill.
    whole = set(recording.segments) | recording.gaps
    assert whole == set(range(max(whole) + 1))
    assert recording.gaps
    assert still_there > len(recording.segments)


async def _record_through_kills(server: Server, publisher: Program) -> tuple[Recording, int]:
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        recorder = Recorder(session, server.url, ROOM, "64k")
        running = asyncio.create_task(recorder.run())
        for _ in range(KILLS):
            await asyncio.sleep(BETWEEN_SECONDS)
            assert not running.done(), running.exception() or "the take ended"
            server.kill()
            await asyncio.to_thread(server.start)
        await asyncio.sleep(BETWEEN_SECONDS)
        assert not publisher.ended(), publisher.last_words()
        answer = await asyncio.to_thread(server.request, "POST", f"/rooms/{ROOM}/end")
        assert answer.status < 300, answer.text
        recording = await asyncio.wait_for(running, 30)
        return recording, await recorder.ask_again()


def _report(recording: Recording) -> str:
    return (
        f"{KILLS} kills: {len(recording.segments)} segments, gaps {sorted(recording.gaps)}, "
        f"statuses {dict(recording.statuses)}, {len(recording.complaints)} complaints: {recording.complaints}"
    )
