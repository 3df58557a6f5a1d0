"""A take of ten minutes of speech in which every instant sounds like no other, archived and finished.

The sound is the project's own sample, in pieces at other speeds, pitches and gains, and a beep every ten
seconds. It goes the way of live audio (bus, encoders, spool, archiver, finisher) as fast as that goes.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.take import Rendition, TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.decode import decode_pcm
from pipeline.pcm import Pcm
from samples import DEMO
from storage.disk_objects import DiskObjects
from storage.names import entry_name
from storage.stories import Stories
from storage.take_record import Ending, take_record
from tests.audio import BEEP_SECONDS, RATE, beeps
from tests.publishing import MemoryOrigin
from tests.takes import EPOCH_US
from tests.waiting import until
from workers.archive.archiver import Archiver
from workers.archive.finish import Finisher
from workers.archive.notes import ArchiveNotes
from workers.memory_bus import MemoryHub
from workers.publisher import Publisher
from workers.transcoder_pool import TranscoderPool

BEEP_PERIOD = 10 * RATE
# A beep stands in silence, so that it is heard as what it is.
BEEP_PAUSE = round(0.12 * RATE)
_EDGE = RATE // 200
_BLOCK = RATE // 5
_BUSY_DISK_SECONDS = 60.0


def long_speech(samples: int, channels: int = 1) -> Pcm:
    """So much sound, shape (n, channels); every channel says something else, and all of them beep."""
    sound = np.stack([_talk(samples, seed) for seed in range(channels)], axis=1)
    marks = beeps(samples / RATE, period_samples=BEEP_PERIOD)
    for start in range(0, samples, BEEP_PERIOD):
        around = slice(max(0, start - BEEP_PAUSE), start + round(BEEP_SECONDS * RATE) + BEEP_PAUSE)
        sound[around] = marks[around, None]
    return sound


def _talk(samples: int, seed: int) -> NDArray[np.int16]:
    """Pieces of the sample of 5 to 9 s. No two have the same speed: nothing is said twice in the same way."""
    rng = np.random.default_rng(seed)
    talk = np.zeros(samples, np.int16)
    said, at = _sample(), 0
    while at < samples:
        length, speed = int(rng.uniform(5, 9) * RATE), rng.uniform(0.85, 1.2)
        span = int(length * speed) + 2
        start = int(rng.integers(0, len(said) - span))
        heard = said[start : start + span]
        piece = np.interp(np.arange(length) * speed, np.arange(span), heard)
        edge = np.minimum(1.0, np.arange(length) / _EDGE)
        piece *= edge * edge[::-1] * rng.uniform(0.3, 1.1)
        end = min(samples, at + length)
        talk[at:end] = np.clip(piece[: end - at], -32_768, 32_767)
        at = end
    return talk


@lru_cache(1)
def _sample() -> Pcm:
    return np.concatenate([*decode_pcm(DEMO, 1)])[:, 0]


@dataclass(frozen=True)
class LongTake:
    """A take as it was said, shape (n, channels), and where it is kept."""

    source: Pcm
    key: TakeKey
    data_dir: Path

    @property
    def address(self) -> str:
        """Where a server has it, without `.m4a`, `/index.m3u8`, and so on."""
        return f"/replay/{self.key.room}/{self.key.take}"


def hold(data_dir: Path, source: Pcm, renditions: tuple[str, ...], room: str = "long") -> LongTake:
    """Say `source` in a room, in no time, and give the take when its replay is there."""
    take = LongTake(source, TakeKey(room, "20260101T000000Z-abc234"), data_dir)
    settings = TakeSettings(source.shape[1], 5, tuple(map(Rendition, renditions)))
    asyncio.run(_held(take, TakeHeader(EPOCH_US, settings, "0" * 64)))
    return take


async def _held(take: LongTake, header: TakeHeader) -> None:
    samples = len(take.source)
    metrics, objects = Metrics(CollectorRegistry()), DiskObjects(take.data_dir)
    hub = MemoryHub(sound_held=samples, span_held=samples)
    publisher = Publisher([MemoryOrigin()], metrics)
    notes: list[ArchiveNotes] = []
    finisher = Finisher(objects, metrics, clock=time.time)

    def finish(key: TakeKey, known: ArchiveNotes, *, without_story: bool = False) -> None:
        notes.append(known)
        finisher.finish(key, known, without_story=without_story)

    spool = take.data_dir / "spool"
    archiver = Archiver(objects, spool, 2**28, metrics, finish=finish, patience=_BUSY_DISK_SECONDS)
    pool = TranscoderPool(hub, publisher, metrics, archiver=archiver)
    bus = hub.open(take.key, header)
    archiver.start(lambda: [take.key])
    pool.start()
    try:
        for start in range(0, samples, _BLOCK):
            bus.append(start, take.source[start : start + _BLOCK].tobytes())
            await asyncio.sleep(0)
        story = take_record(take.key, header, samples, _events(samples), Ending(room_title="Long"))
        Stories(objects).put(story)
        bus.end(samples)
        await until(lambda: objects.head(entry_name(take.key)) is not None)
        await until(lambda: not archiver.working)
    finally:
        await pool.stop()
        await publisher.stop(grace=0)
        await archiver.stop(grace=0)
    assert [each.lost for each in notes] == [()]


def _events(samples: int) -> list[TakeEvent]:
    starts = range(0, samples, 120 * RATE)
    return [
        TakeEvent(0, 0, "join", speakers=("Ada",)),
        *(TakeEvent(at, 1, "chapter", title=f"Minute {at // (60 * RATE)}") for at in starts),
    ]
