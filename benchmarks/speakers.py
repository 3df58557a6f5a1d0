"""What a speaker costs: CPU of one more voice by WHIP, and the time from its packets to the bus.

The CPU is the server's with so many voices in a room, less what it takes while the room's take lives in
silence. Beside it stands aiortc's own receive path, which decodes and throws away.

Two clocks are read. The server's histogram begins with a packet's arrival. The other figure begins with the
instant at which a publisher sends the first packet of a beep, and ends when the beep's first sample is due on
the bus, found in what the room's listeners get.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks import report
from benchmarks.journeys import BLOCK, Journey, journeys
from benchmarks.latency import bucket_counts, bucket_percentile
from benchmarks.live import QUIET
from benchmarks.processes import cost_over
from benchmarks.sound import loop
from pipeline.mix.mixer import Mixer
from pipeline.mix.samples import to_unit
from pipeline.mix.sound import VOICE
from pipeline.mix.strip import Strip
from tests.audio import RATE
from tests.server import Server
from tests.soak.running import Program, on_cores, scrape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME: Final = "speakers"
TITLE: Final = "A speaker by WHIP: CPU against aiortc's receive path, and added latency"
_COLUMNS: Final = (
    *("speakers", "longwave: % of a core each", "aiortc: % of a core each", "ratio"),
    *("packet to bus, p50", "p95", "sent to bus, p50", "p95", "mixing 5 ms"),
)
_SERVER_CORE: Final = {0}
_OTHER_CORE: Final = {1}
_ROOM: Final = "voices"
_BEEPING: Final = "beeps"
_DELAY: Final = "longwave_speaker_delay_seconds_bucket"
# Jitter buffers have found their depth by then, levels theirs nearly.
_SETTLE_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 60.0
_MIXED_SECONDS: Final = 20


@dataclass(frozen=True)
class Round:
    """So many speakers in the room: our cores' worth of CPU, and when it was."""

    cores: float
    began: float
    ended: float
    delays: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ours:
    """All rounds by the number of speakers, and what became of the beeps meanwhile."""

    idle: float
    rounds: dict[int, Round]
    journeys: tuple[Journey, ...]

    def journey(self, speakers: int, percent: float) -> float:
        """The percentile of the seconds from sending to the bus in the round of so many speakers."""
        one = self.rounds[speakers]
        taken = [journey.seconds for journey in self.journeys if one.began <= journey.sent <= one.ended]
        return report.percentile(taken, percent)


def run(*, quick: bool) -> report.Result:
    """1, 5 and 10 speakers in one room (1 and 5 when quick), here and at aiortc."""
    counts, seconds = ((1, 5), 6.0) if quick else ((1, 5, 10), 25.0)
    with TemporaryDirectory(prefix="longwave-bench-") as name, on_cores(_OTHER_CORE):
        ours = _ours(Path(name), counts, seconds)
        peer = _aiortc(Path(name), counts, seconds)
        mixing = {speakers: _mixing_seconds(speakers) for speakers in counts}
    return _result(ours, peer, mixing, seconds)


# ---- Longwave ----------------------------------------------------------------------------------------------


def _ours(directory: Path, counts: Sequence[int], seconds: float) -> Ours:
    with (
        _server(directory) as server,
        _publishers(directory, server.url, _BEEPING, 1, beeps=True) as said,
    ):
        # A take that lives and is silent is what the voices of the rounds are added to.
        with _publishers(directory, server.url, _ROOM, 1):
            _wait_for_speakers(server, 1)
        _wait_for_speakers(server, 0)
        time.sleep(_SETTLE_SECONDS)
        idle = cost_over([server.pid], seconds).cores
        rounds = {speakers: _round(directory, server, speakers, seconds) for speakers in counts}
        beeps = journeys(server, _BEEPING, said.read_text(), directory)
        return Ours(idle, rounds, tuple(beeps))


@contextlib.contextmanager
def _server(directory: Path) -> Iterator[Server]:
    server = Server(directory / "data", env=QUIET)
    with on_cores(_SERVER_CORE):
        server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def _publishers(directory: Path, url: str, room: str, count: int, *, beeps: bool = False) -> Iterator[Path]:
    """Voices in `room`; what they say of themselves is in the file that is given."""
    said = directory / f"{room}-{count}.txt"
    argv = [
        sys.executable,
        "-m",
        "benchmarks.publishers",
        url,
        room,
        str(count),
        *(["--beeps"] if beeps else []),
    ]
    with said.open("wb") as stdout, Program(argv, directory / "publishers.log", stdout=stdout) as program:
        yield said
        if program.ended():
            raise RuntimeError(program.last_words())


def _wait_for_speakers(server: Server, count: int) -> None:
    """Until the room has so many, and all of them were heard."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        answer = server.get(f"/rooms/{_ROOM}")
        live = answer.json["live"] if answer.status == 200 else None
        there = [one["joined"] is not None for one in live["speakers"]] if live else None
        if there is not None and len(there) == count and all(there):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not {count} speakers after {_PATIENCE_SECONDS:.0f} s: {answer.text}")
        time.sleep(0.1)


def _round(directory: Path, server: Server, speakers: int, seconds: float) -> Round:
    with _publishers(directory, server.url, _ROOM, speakers):
        _wait_for_speakers(server, speakers)
        time.sleep(_SETTLE_SECONDS)
        before, began = scrape(server), time.time()
        cores = cost_over([server.pid], seconds).cores
        after, ended = scrape(server), time.time()
    _wait_for_speakers(server, 0)
    return Round(cores, began, ended, tuple(bucket_counts(before, after, _DELAY)))


def _mixing_seconds(speakers: int) -> float:
    """CPU seconds that a block of 5 ms takes in the mixer with so many voices."""
    mixer = Mixer(1, BLOCK)
    strips = [Strip(1, VOICE, BLOCK) for _ in range(speakers)]
    pcm = to_unit(loop())[:, None]
    # No two say the same at a time.
    starts = [index * len(pcm) // speakers for index in range(speakers)]
    blocks = _MIXED_SECONDS * RATE // BLOCK
    began = time.thread_time()
    for block in range(blocks):
        at = [(start + block * BLOCK) % len(pcm) for start in starts]
        mixer.mix([(strip, pcm[one : one + BLOCK]) for strip, one in zip(strips, at, strict=True)])
    return (time.thread_time() - began) / blocks


# ---- aiortc ------------------------------------------------------------------------------------------------


def _aiortc(directory: Path, counts: Sequence[int], seconds: float) -> dict[int, float]:
    """Cores' worth of CPU by the number of voices. One process each: it never lets go of a peer that left."""
    return {speakers: _aiortc_round(directory, speakers, seconds) for speakers in counts}


def _aiortc_round(directory: Path, speakers: int, seconds: float) -> float:
    port = directory / f"aiortc-{speakers}.txt"
    argv = [sys.executable, "-m", "benchmarks.aiortc_receiver"]
    with port.open("wb") as stdout, on_cores(_SERVER_CORE):
        receiver = Program(argv, directory / "aiortc.log", stdout=stdout)
    with receiver:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not port.read_text().endswith("\n"):
            if receiver.ended() or time.monotonic() > deadline:
                raise RuntimeError(receiver.last_words())
            time.sleep(0.1)
        url = f"http://127.0.0.1:{port.read_text().strip()}"
        with _publishers(directory, url, _ROOM, speakers):
            time.sleep(2 * _SETTLE_SECONDS)
            return cost_over([receiver.pid], seconds).cores


# ---- figures -----------------------------------------------------------------------------------------------


def _result(ours: Ours, peer: dict[int, float], mixing: dict[int, float], seconds: float) -> report.Result:
    rows = []
    for speakers, one in ours.rounds.items():
        each, theirs = (one.cores - ours.idle) / speakers, peer[speakers] / speakers
        delays = [bucket_percentile(one.delays, percent) for percent in (50, 95)]
        journeys = [ours.journey(speakers, percent) for percent in (50, 95)]
        rows.append(
            (
                str(speakers),
                f"{100 * each:.2f} %",
                f"{100 * theirs:.2f} %",
                f"{each / theirs:.2f}",
                *map(report.milliseconds, (*delays, *journeys)),
                f"{1e6 * mixing[speakers]:.0f} µs",
            )
        )
    most, least = max(ours.rounds), min(ours.rounds)
    further = (ours.rounds[most].cores - ours.rounds[least].cores) / (most - least)
    p95 = bucket_percentile(ours.rounds[most].delays, 95)
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(rows),
        notes=(
            f"{seconds:.0f} s each; speech at 32 kbit/s in packets of 20 ms; publishers on the other core",
            f"what they are added to takes {100 * ours.idle:.1f} %: a take in silence, and one that beeps",
            f"the first speaker ends a silence for the encoder; each further one takes {100 * further:.2f} %",
            "here a voice is decoded, kept in step, levelled, mixed and limited; aiortc's is decoded",
            "packet to bus: from a packet's arrival, by the server's histogram, each voice once a second",
            "sent to bus: from sending a beep's first packet until its first sample is on the bus",
        ),
        targets=(
            report.at_most(f"packet to bus with {most} speakers, p95, ms", 60.0, p95 * 1e3, "{:.1f}"),
            report.at_most(
                f"sent to bus with {most} speakers, p95, ms", 60.0, ours.journey(most, 95) * 1e3, "{:.1f}"
            ),
        ),
    )
