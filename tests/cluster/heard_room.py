"""A room that speaks known sound through an ingest, and is heard, while something happens to the others."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

from longwave.publish import Sender
from longwave.publish_options import PublishOptions
from longwave.publish_view import QuietView
from pipeline.grid import SAMPLE_RATE, Grid
from tests.cluster.bench import Bench, favour, metric
from tests.cluster.ear import HOLD_BACK, Ear, Heard
from tests.cluster.verdict import Verdict, verdict
from tests.soak.hearing import WINDOW, Pcm, known_sound
from tests.soak.line import write_wav

# What a sender on a busy machine may be late by, in samples.
_MOST_STARVED = SAMPLE_RATE // 2


class _Progress(QuietView):
    """Knows how far a sender is."""

    samples = 0

    def position(self, samples: int) -> None:
        self.samples = samples


class HeardRoom:
    """One take of `name` on a bench. More is to be said than the fault lasts: the rest is left unsaid."""

    def __init__(self, bench: Bench, name: str, ear: Ear, said: Pcm, wav: Path) -> None:
        self.bench, self.name, self.ear = bench, name, ear
        self._said = said
        self._directory = wav.parent
        self._stop = asyncio.Event()
        self._progress = _Progress()
        options = PublishOptions(wav, name, bench.ingests[0].url, speaker="Ada")
        self.sender = asyncio.create_task(Sender(options, self._progress, self._stop).run())
        self._conflicts = bench.conflicts()
        self._starved = -_made_up(bench)

    @property
    def heard(self) -> Heard:
        """What the listener got so far."""
        return self.ear.heard

    def lateness(self, since: int = 0) -> float:
        """By how many seconds parts came late, in the median, beside the earliest there was.

        Of those that were heard after the first `since`.
        """
        grid = Grid(5)
        behind = [at - grid.stop_sample(each) / SAMPLE_RATE for each, at in self.heard.arrivals.items()]
        return median(behind[since:]) - min(behind)

    async def end(self) -> None:
        """Say no more, end the take, and hear it to its end."""
        self._starved += await asyncio.to_thread(_made_up, self.bench)
        self._stop.set()
        await self.sender
        answer = await asyncio.to_thread(self.bench.ingests[0].request, "POST", f"/rooms/{self.name}/end")
        assert answer.status < 300, answer.text
        await self.ear.to_the_end()

    def judge(self, fault: str, *, whole: bool = True) -> Verdict:
        """Of a take that is over; sample by sample, if all of it should be there.

        This takes a while: rooms that still speak must not wait for it.
        """
        conflicts = self.bench.conflicts() - self._conflicts
        # Behind it the take is silent until its end.
        said = self._said[: self._progress.samples - WINDOW] if whole else None
        if self._starved > 0:
            fault += f" (the sender was late: {self._starved:.0f} samples of silence for it)"
            # Behind that all lies elsewhere: what came is counted, and not compared. More is no busy machine.
            assert self._starved < _MOST_STARVED, fault
            said = None
        return verdict(fault, self.heard, said, self._directory, conflicts=conflicts)


def _made_up(bench: Bench) -> float:
    """Samples of silence that an ingest put where nothing came in time."""
    running = [each for each in bench.ingests if each.process and each.process.poll() is None]
    return sum(metric(each, "longwave_samples_total", kind="silence") for each in running)


@contextlib.asynccontextmanager
async def heard_room(bench: Bench, name: str, directory: Path, seconds: float) -> AsyncIterator[HeardRoom]:
    """A room that is heard from its beginning on, and could speak for `seconds`; two segments are heard."""
    favour(os.getpid())
    said = await asyncio.to_thread(known_sound, int(seconds))
    wav = await asyncio.to_thread(write_wav, directory / f"{name}.wav", said)
    async with Ear([each.url for each in bench.origins], name) as ear:
        room = HeardRoom(bench, name, ear, said, wav)
        try:
            # As far as a player stands behind the newest part, and a bit.
            await ear.hears(int(HOLD_BACK / 0.4) + 5)
            yield room
        finally:
            room.sender.cancel()
            await asyncio.gather(room.sender, return_exceptions=True)
            favour(os.getpid(), 0)
