"""The long line: `ffmpeg -re -i X … - | curl -T - …/pcm/ROOM`, recorded, decoded and compared with X.

The same code runs for 10 minutes in `make soak` and for some seconds in `make test`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.audio import RATE
from tests.server import Server
from tests.soak.hearing import Heard, Pcm, decode, known_sound, listen
from tests.soak.recorder import Recording, record
from tests.soak.running import Program, scrape, total

ROOM = "line"
RENDITIONS = ["64k", "128k"]
# A take's first frame fades in: in AAC half of its sound is in the access unit before it.
FIRST_FRAME = 1024
# A window with a join is hardly worse than what one encoder that is never restarted makes of it; 2 ms of
# silence in a window make it worse by 6 dB.
WORST_MARGIN_DB = -1.5
MEDIAN_MARGIN_DB = -0.1


@dataclass(frozen=True)
class LineResult:
    """What came out at the other end of a line, by our recorder and by ffmpeg.

    `starved` are the samples of silence that had to fill in, and of late sound that had to go, because this
    machine did not keep up with real time: that is not what a line measures.
    """

    seconds: int
    recordings: list[Recording]
    heard: dict[str, Heard]
    heard_by_ffmpeg: Heard
    starved: int
    server_errors: float
    gaps: float

    def report(self) -> str:
        """The figures for people."""
        lines = [f"{name}: {heard.summary()}" for name, heard in self.heard.items()]
        lines.append(f"ffmpeg: {self.heard_by_ffmpeg.summary()}")
        lines += [
            f"{r.rendition}: {r.playlists} playlists, {len(r.parts)} parts, {len(r.segments)} segments, "
            f"statuses {dict(r.statuses)}"
            for r in self.recordings
        ]
        return "\n".join([f"a line of {self.seconds} s, starved of {self.starved} samples", *lines])


def run_line(directory: Path, seconds: int) -> LineResult:
    """Send `seconds` of known sound through a room with two renditions, and hear all of it again."""
    source = known_sound(seconds)
    wav = write_wav(directory / "x.wav", source)
    with Server(directory / "data") as server:
        made = server.request("PUT", f"/rooms/{ROOM}", b'{"renditions": ["64k", "128k"]}')
        assert made.status in {200, 201}, made.text
        recordings = asyncio.run(_record_line(server, directory, wav, seconds))
        metrics = scrape(server)
    heard = {}
    for recording in recordings:
        (file := directory / f"{recording.rendition}.mp4").write_bytes(recording.media())
        first_segment = min(recording.segments)
        assert first_segment == 0, f"the recorder came too late: {first_segment}"
        bit_rate = int(recording.rendition[:-1]) * 1000
        heard[recording.rendition] = listen(source, decode(file), bit_rate, skip=FIRST_FRAME)
    # ffmpeg begins before the live edge: its first frame has no frame before it to overlap with.
    played = np.fromfile(directory / "ffmpeg.pcm", np.int16)
    by_ffmpeg = listen(source, played, 64_000, skip=RATE // 10)
    # The answer to the PUT says what became of it.
    sent = json.loads((directory / "curl.log").read_text())
    errors = sum(
        total(metrics, "longwave_http_requests_total", f'status="{status}"') for status in (500, 502, 503)
    )
    return LineResult(
        seconds,
        recordings,
        heard,
        by_ffmpeg,
        sent["silence"] + sent["dropped"],
        errors + total(metrics, "longwave_unexpected_errors_total"),
        total(metrics, "longwave_gaps_total"),
    )


async def _record_line(server: Server, directory: Path, wav: Path, seconds: int) -> list[Recording]:
    """Send, record and let ffmpeg play at once; end the take when everything was sent."""
    recording = asyncio.create_task(record(server.url, ROOM, RENDITIONS))
    try:
        with contextlib.ExitStack() as programs:
            curl = _send(programs, server, directory, wav)
            player = await _play(programs, server, directory)
            # curl ends with an answer when ffmpeg has sent everything.
            await _ended(curl, seconds + 30)
            assert curl.process.returncode == 0, curl.last_words()
            assert server.request("POST", f"/rooms/{ROOM}/end").status in {200, 202, 204}
            await _ended(player, 30)
            return await asyncio.wait_for(recording, 30)
    finally:
        recording.cancel()


def _send(programs: contextlib.ExitStack, server: Server, directory: Path, wav: Path) -> Program:
    ffmpeg = Program(
        [
            *("ffmpeg", "-nostdin", "-v", "error", "-re", "-i", str(wav)),
            *("-f", "s16le", "-ac", "1", "-ar", "48000", "-"),
        ],
        directory / "ffmpeg-send.log",
        stdout=subprocess.PIPE,
    )
    programs.enter_context(ffmpeg)
    assert ffmpeg.process.stdout
    url = f"{server.url}/pcm/{ROOM}"
    curl = programs.enter_context(
        Program(
            ["curl", "-sS", "--fail-with-body", "-T", "-", url],
            directory / "curl.log",
            stdin=ffmpeg.process.stdout,
        )
    )
    for program in (ffmpeg, curl):
        # They stand for another machine, which would not be busy with this one's tests.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, program.pid, -10)
    return curl


async def _play(programs: contextlib.ExitStack, server: Server, directory: Path) -> Program:
    """The listener ffmpeg, of the first rendition, from the moment there is something to play."""
    for _ in range(300):
        # ffmpeg gives up on a playlist that is not there yet.
        if await asyncio.to_thread(server.media_playlist, ROOM, RENDITIONS[0]):
            break
        await asyncio.sleep(0.1)
    url = f"{server.url}/live/{ROOM}/index.m3u8"
    argv = ["ffmpeg", "-nostdin", "-v", "warning", "-i", url, "-map", "0:a:0", "-f", "s16le", "-ac", "1"]
    return programs.enter_context(
        Program([*argv, "-y", str(directory / "ffmpeg.pcm")], directory / "ffmpeg-play.log")
    )


async def _ended(program: Program, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not program.ended():  # noqa: ASYNC110 - a process is polled
            await asyncio.sleep(0.1)


def write_wav(path: Path, pcm: Pcm) -> Path:
    """`pcm` (mono) as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return path


def assert_whole(result: LineResult) -> None:
    """Everything that was sent was heard: by sample, without dropout or drift, and nobody was refused."""
    assert result.starved == 0, "this machine was too busy to send in real time"
    for recording in result.recordings:
        assert recording.complaints == []
        assert recording.gaps == set()
        assert recording.away == 0
        assert set(recording.statuses) <= {200}, recording.statuses
        assert sorted(recording.segments) == list(range(len(recording.segments)))
    for who, heard in {**result.heard, "ffmpeg": result.heard_by_ffmpeg}.items():
        assert heard.drift == 0, who
        assert heard.noisy_pauses == 0, who
        assert np.min(heard.margin_db) > WORST_MARGIN_DB, f"{who}: {heard.summary()}"
        assert np.median(heard.margin_db) > MEDIAN_MARGIN_DB, f"{who}: {heard.summary()}"
    assert all(heard.missing_samples <= FIRST_FRAME for heard in result.heard.values())
    assert (result.server_errors, result.gaps) == (0, 0)
