"""CPU and memory of a room: one `longwave serve` with N rooms against N ffmpegs, all paced in real time."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import report
from benchmarks.live import fed_rooms
from benchmarks.processes import Cost, cost_over
from benchmarks.sound import loop
from tests.soak.line import write_wav
from tests.soak.running import Program, scrape, total

NAME: Final = "rooms"
TITLE: Final = "A room's CPU and memory against ffmpeg"
_COLUMNS: Final = (
    *("rooms", "longwave: % of a core a room", "ffmpeg: % of a core a room", "ratio"),
    *("longwave: memory", "of it windows", "ffmpeg: memory"),
)
# After the last room is live: encoders are open, caches warm, and the first window entries are there.
_SETTLE_SECONDS: Final = 6.0


@dataclass(frozen=True)
class Pair:
    """Both sides with the same number of rooms."""

    rooms: int
    ours: Cost
    window_bytes: int
    peer: Cost

    @property
    def ratio(self) -> float:
        """Our CPU for what ffmpeg takes 1."""
        return self.ours.cores / self.peer.cores


def run(*, quick: bool) -> report.Result:
    """Measure 1, 20 and 50 rooms (1 and 20 when quick), one side after the other."""
    counts, seconds = ((1, 20), 8.0) if quick else ((1, 20, 50), 25.0)
    pairs = []
    for rooms in counts:
        ours, window_bytes = _ours(rooms, seconds)
        pairs.append(Pair(rooms, ours, window_bytes, _ffmpegs(rooms, seconds)))
    return _result(pairs, seconds)


def _ours(rooms: int, seconds: float) -> tuple[Cost, int]:
    with TemporaryDirectory(prefix="longwave-bench-") as name, fed_rooms(rooms, Path(name)) as server:
        time.sleep(_SETTLE_SECONDS)
        cost = cost_over([server.pid], seconds)
        return cost, round(total(scrape(server), "longwave_window_bytes"))


def _ffmpegs(rooms: int, seconds: float) -> Cost:
    with TemporaryDirectory(prefix="longwave-bench-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        source = write_wav(directory / "room.wav", loop())
        programs = []
        for index in range(rooms):
            (out := directory / str(index)).mkdir()
            argv = _ffmpeg_argv(source, out)
            programs.append(stack.enter_context(Program(argv, directory / "ffmpeg.log")))
            time.sleep(0.043)  # so that they do not all wake together
        time.sleep(_SETTLE_SECONDS)
        cost = cost_over([program.pid for program in programs], seconds)
        for program in programs:
            program.process.terminate()
        return cost


def _ffmpeg_argv(source: Path, out: Path) -> list[str]:
    return [
        *("ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(source)),
        *("-c:a", "aac", "-aac_coder", "fast", "-aac_tns", "0", "-b:a", "64k"),
        *("-f", "hls", "-hls_time", "2", "-hls_list_size", "450", str(out / "index.m3u8")),
    ]


def _result(pairs: list[Pair], seconds: float) -> report.Result:
    rows = [
        (
            str(pair.rooms),
            f"{100 * pair.ours.cores / pair.rooms:.2f} %",
            f"{100 * pair.peer.cores / pair.rooms:.2f} %",
            f"{pair.ratio:.2f}",
            report.megabytes(pair.ours.memory),
            report.megabytes(pair.window_bytes),
            report.megabytes(pair.peer.memory),
        )
        for pair in pairs
    ]
    least, most = pairs[0], pairs[-1]
    more = most.rooms - least.rooms
    grown = (most.ours.memory - least.ours.memory) / more
    window = (most.window_bytes - least.window_bytes) / more
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(rows),
        notes=(
            f"a room more takes {report.megabytes(grown)}, {report.megabytes(window)} of it window so far",
            "a full window of 15 minutes at 64 kbit/s takes 7.5 MB more",
            f"over {seconds:.0f} s each, one side after the other; memory is PSS; mono, one rendition of 64k",
        ),
        targets=(
            report.at_most(f"CPU of {most.rooms} rooms, × ffmpeg", 1.15, most.ratio),
            report.at_most("memory a room beside its window, MB", 2.0, (grown - window) / 1e6, "{:.3f}"),
        ),
    )
