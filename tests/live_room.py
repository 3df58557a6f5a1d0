"""A room of voices in real time: publishers by WHIP, a whole server, and ffmpeg that decodes its HLS."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.audio import RATE
from tests.room_ear import Sound
from tests.server import Server
from tests.soak.hearing import decode
from tests.soak.running import Program

ROOM = "room"
_RENDITION = "64k"
# The five are made and encoded before they speak; then they connect.
_PREPARATION_SECONDS = 240
_REMEMBERED_SECONDS = 60
_LATE_MS = 20


@dataclass(frozen=True)
class LiveRoom:
    """A room that was held. `began` is the room's instant of the take's sample 0.

    `samples` is how long the take says it is; `clock` are the least and the most that it may be. `seen` are
    the names that `GET /rooms/{room}` told, each set once. `late_ms` is by how much packets left too late in
    each second, at worst. `cpu` is the server's, as a share of a core while they spoke.
    """

    began: int
    mix: Sound
    samples: int
    clock: tuple[int, int]
    record: Any
    seen: frozenset[frozenset[str]]
    late_ms: tuple[float, ...]
    cpu: float

    def report(self) -> str:
        """The figures for people."""
        least, most = self.clock
        return (
            f"the take has {self.samples} samples, {self.samples - most} to {self.samples - least} more than "
            f"its clock; the senders were late by {np.median(self.late_ms):.1f} ms at worst in half of "
            f"all seconds, and by {max(self.late_ms):.1f} ms in one; "
            f"the server took {self.cpu * 100:.1f} % of a core, a fifth of that a speaker"
        )

    def punctual(self, until: int) -> bool:
        """This machine has sent in time for a minute before the room's instant `until`.

        Whoever hears packets late holds them back for so long; that is right, but no matter of the mix.
        """
        second = until // RATE
        return max(self.late_ms[max(0, second - _REMEMBERED_SECONDS) : second]) < _LATE_MS


def hold_live_room(directory: Path, seconds: int) -> LiveRoom:
    """Hold the room for `seconds` in a server of its own."""
    with Server(directory / "data") as server:
        argv = [sys.executable, "-m", "tests.room_senders", server.url, ROOM, str(seconds)]
        with Program(argv, directory / "senders.log") as senders:
            for pid in (server.pid, senders.pid):
                # Heard is the way of the sound, not what else this machine is busy with.
                with contextlib.suppress(PermissionError):
                    os.setpriority(os.PRIO_PROCESS, pid, -10)
            seen, cpu = _watch(server, senders, seconds)
            assert senders.process.returncode == 0, senders.last_words()
        told = json.loads(senders.log.read_text().splitlines()[-1])
        server.wait_for(lambda: "ENDLIST" in server.media_playlist(ROOM, _RENDITION))
        where = f"/replay/{ROOM}/{told['take']}/take.json"
        server.wait_for(lambda: server.get(where).status == 200)
        record = server.get(where).json
        (file := directory / "take.mp4").write_bytes(_media(server, told["take"]))
    mix = decode(file).astype(np.float32) / np.float32(32_768)
    epoch_us = record["epoch_us"]
    before, after = (_samples(instant - epoch_us) for instant in told["end_us"])
    return LiveRoom(
        began=_samples(epoch_us - told["zero_us"]),
        mix=mix[: told["samples"]],
        samples=told["samples"],
        clock=(before, after),
        record=record,
        seen=seen,
        late_ms=tuple(told["late_ms"]),
        cpu=cpu,
    )


def _watch(server: Server, senders: Program, seconds: int) -> tuple[frozenset[frozenset[str]], float]:
    """Who is seen in the room until the senders have ended, and the server's share of a core meanwhile."""
    deadline = time.monotonic() + seconds + _PREPARATION_SECONDS
    seen = set()
    looks: list[tuple[float, float]] = []
    while not senders.ended():
        assert time.monotonic() < deadline, senders.last_words()
        answer = server.get(f"/rooms/{ROOM}")
        live = answer.json["live"] if answer.status == 200 else None
        if live is not None:
            seen.add(frozenset(speaker["name"] for speaker in live["speakers"]))
            looks.append((time.monotonic(), _cpu_seconds(server.pid)))
        time.sleep(0.25)
    assert len(looks) > 1, senders.last_words()
    (began, before), (ended, after) = looks[0], looks[-1]
    return frozenset(seen), (after - before) / (ended - began)


def _cpu_seconds(pid: int) -> float:
    """What a process has had of the processors so far (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _media(server: Server, take: str) -> bytes:
    playlist = server.media_playlist(ROOM, _RENDITION)
    assert "EXT-X-GAP" not in playlist
    assert "#EXT-X-MEDIA-SEQUENCE:0\n" in playlist
    names = ["init.mp4", *(line for line in playlist.splitlines() if line.endswith(".m4s"))]
    return b"".join(server.get(f"/live/{ROOM}/{take}/{_RENDITION}/{name}").body for name in names)


def _samples(microseconds: int) -> int:
    return microseconds * RATE // 1_000_000
