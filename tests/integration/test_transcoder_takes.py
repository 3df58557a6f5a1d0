"""From the bus to origins: parts are what the segmenter makes of the same PCM, whatever happens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import Rendition, TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.grid import Grid, first_sample
from pipeline.segmenter import EncodedPart, Segmenter
from tests.publishing import KEY, BadLine, MemoryOrigin
from tests.takes import EPOCH_US
from tests.waiting import until
from workers import publisher as publisher_module
from workers import transcoder as transcoder_module
from workers.memory_bus import MemoryHub, MemoryTakeBus
from workers.publisher import Publisher
from workers.transcoder_pool import TranscoderPool

SEGMENT = 96_000
BLOCK = 960
GRID = Grid(5)
MONO = TakeHeader(EPOCH_US, TakeSettings(), "f")
STEREO = TakeHeader(EPOCH_US, TakeSettings(channels=2, renditions=(Rendition("32k"), Rendition("96k"))), "f")


@cache
def noise(samples: int, channels: int = 1) -> NDArray[np.int16]:
    return np.random.default_rng(1).integers(-9000, 9000, (samples, channels)).astype("<i2")


def segmented(pcm: NDArray[np.int16], header: TakeHeader, msn: int = 0) -> dict[tuple[str, int, int], bytes]:
    """What the segmenter makes of `pcm` from segment `msn` on; before sample 0 there are zeros."""
    segmenter = Segmenter(header.settings, msn)
    before = np.zeros((max(0, -segmenter.needs), header.settings.channels), dtype=np.int16)
    start = max(0, segmenter.needs)
    parts = [*segmenter.push(np.concatenate((before, pcm[start:]))), *segmenter.finish()]
    return {(part.rendition, part.msn, part.part): part.data for part in parts}


def held(origin: MemoryOrigin, key: TakeKey = KEY) -> dict[tuple[str, int, int], bytes]:
    """Every part that an origin holds."""
    return {
        (name, segment.msn, index): data
        for name, window in origin.takes[key].renditions.items()
        for segment in window.segments
        for index, data in enumerate(window.segment_parts(segment.msn) or ())
    }


class Process:
    """What one process runs: hub, publisher, pool. Origins outlive it."""

    def __init__(self, *origins: MemoryOrigin, threads: int = 2) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.hub = MemoryHub()
        self.publisher = Publisher(origins, self.metrics)
        self.pool = TranscoderPool(self.hub, self.publisher, self.metrics, threads=threads)
        self.pool.start()
        self._opened: list[TakeKey] = []

    def open(self, key: TakeKey, header: TakeHeader, first: int = 0) -> MemoryTakeBus:
        """A take on the bus."""
        if key not in self._opened:
            self._opened.append(key)
        return self.hub.open(key, header, first=first)

    @property
    def ended(self) -> list[TakeKey]:
        """The takes that were published to their end, and so closed."""
        live = {bus.key for bus in self.hub.live()}
        return [key for key in self._opened if key not in live]

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)

    async def stop(self) -> None:
        await self.pool.stop()
        await self.publisher.stop(grace=0)


@pytest.fixture
async def process() -> AsyncIterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(*origins: MemoryOrigin, threads: int = 2) -> Process:
        made.append(Process(*origins, threads=threads))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


@pytest.mark.parametrize("header", [MONO, STEREO], ids=["mono", "stereo, two renditions"])
@pytest.mark.parametrize("rhythm", ["blocks", "random", "at once"])
async def test_parts_are_the_segmenters_whatever_the_rhythm_of_the_bus(
    process: Callable[..., Process], header: TakeHeader, rhythm: str
) -> None:
    length = 3 * SEGMENT + 12_345
    pcm = noise(length, header.settings.channels)
    origin = MemoryOrigin()
    running = process(origin)
    bus = running.open(KEY, header)
    chance = random.Random(7)
    while bus.top < length:
        size = {"blocks": BLOCK, "random": chance.randint(1, 9000), "at once": length}[rhythm]
        bus.append(bus.top, pcm[bus.top : bus.top + size].tobytes())
        await asyncio.sleep(chance.choice((0, 0, 0.002)) if rhythm == "random" else 0)
    bus.end(length)
    await until(lambda: running.ended == [KEY])
    assert origin.ended() == length
    assert held(origin) == segmented(pcm, header)
    assert running.hub.live() == ()
    assert running.value("longwave_gaps_total") == 0


async def test_a_part_leaves_as_soon_as_its_lookahead_is_there_and_not_before(
    process: Callable[..., Process],
) -> None:
    origin = MemoryOrigin()
    running = process(origin)
    bus = running.open(KEY, MONO)
    stop = GRID.stop_sample(Position(0, 0))
    bus.append(0, noise(SEGMENT)[: stop + 2047].tobytes())
    await asyncio.sleep(0.2)
    assert origin.reached() is None
    bus.append(bus.top, noise(SEGMENT)[stop + 2047 : stop + 2048].tobytes())
    await until(lambda: origin.reached() == Position(0, 1))
    assert running.value("longwave_part_latency_seconds_count") == 1


async def test_a_take_begins_although_an_origin_hangs(
    process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "_STATE_TIMEOUT", 1000.0)
    good, hanging = MemoryOrigin(), BadLine()
    hanging.hangs = True
    process(good, hanging).open(KEY, MONO).append(0, noise(SEGMENT).tobytes())
    await until(lambda: good.reached() == Position(0, 4))


async def test_events_are_listed_with_the_parts_they_belong_to(process: Callable[..., Process]) -> None:
    origin = MemoryOrigin()
    running = process(origin)
    bus = running.open(KEY, MONO)
    bus.append(0, noise(SEGMENT)[:50_000].tobytes())
    bus.append_event(TakeEvent(50_000, 0, "chapter", title="Half way"))
    bus.append(50_000, noise(SEGMENT)[50_000:].tobytes())
    bus.end(SEGMENT)
    await until(lambda: running.ended == [KEY])
    assert "Half way" in origin.takes[KEY].media_playlist("64k")
    assert "events/50000-0.json" in origin.requests


async def test_what_is_for_the_record_alone_is_not_published(process: Callable[..., Process]) -> None:
    origin = MemoryOrigin()
    running = process(origin)
    bus = running.open(KEY, MONO)
    for number, kind in enumerate(("join", "mute", "start", "stop", "unmute", "leave")):
        bus.append_event(TakeEvent(0, number, kind, speakers=("Ada",)))  # type: ignore[arg-type]
    bus.append_event(TakeEvent(0, 6, "speakers", speakers=("Bo",)))
    bus.append(0, noise(SEGMENT).tobytes())
    bus.end(SEGMENT)
    await until(lambda: running.ended == [KEY])
    assert [request for request in origin.requests if "events/" in request] == ["events/0-6.json"]


async def test_a_take_that_was_lost_with_its_process_goes_on_with_gaps_and_then_right_bytes(
    process: Callable[..., Process],
) -> None:
    pcm = noise(9 * SEGMENT)
    origin, empty = MemoryOrigin(), MemoryOrigin("empty")
    first = process(origin)
    first.open(KEY, MONO).append(0, pcm[: 2 * SEGMENT + 50_000].tobytes())
    await until(lambda: origin.reached() == Position(2, 2))
    await first.stop()
    second = process(origin, empty)
    # Numbers up to 4 were reserved: nothing below segment 5 may get other bytes.
    bus = second.open(KEY, MONO, first=5 * SEGMENT)
    bus.append_silence(5 * SEGMENT, SEGMENT)
    bus.append(6 * SEGMENT, pcm[6 * SEGMENT : 8 * SEGMENT].tobytes())
    bus.end(8 * SEGMENT)
    await until(lambda: second.ended == [KEY])
    assert origin.gaps == [("64k", 2), ("64k", 3), ("64k", 4)]
    heard = np.concatenate((np.zeros((6 * SEGMENT, 1), np.int16), pcm[6 * SEGMENT : 8 * SEGMENT]))
    wanted = segmented(heard, MONO, 5)
    assert {name: data for name, data in held(origin).items() if name[1] >= 5} == wanted
    assert held(empty) == wanted
    assert origin.ended() == empty.ended() == 8 * SEGMENT


async def test_a_take_that_ended_while_the_process_was_down_ends_after_its_open_segment_which_is_a_gap(
    process: Callable[..., Process],
) -> None:
    origin = MemoryOrigin()
    first = process(origin)
    first.open(KEY, MONO).append(0, noise(2 * SEGMENT).tobytes())
    await until(lambda: origin.reached() == Position(1, 4))
    await first.stop()
    second = process(origin)
    second.open(KEY, MONO, first=4 * SEGMENT).end(4 * SEGMENT)
    await until(lambda: second.ended == [KEY])
    # The origin may have lost its last parts in a crash, and 1.m4s been served with them.
    assert origin.ended() == GRID.start_sample(Position(2, 0))
    assert origin.gaps == [("64k", 1)]


async def test_a_take_that_ended_while_the_process_was_down_and_that_nobody_knows_is_forgotten(
    process: Callable[..., Process],
) -> None:
    origin = MemoryOrigin()
    running = process(origin)
    running.open(KEY, MONO, first=4 * SEGMENT).end(4 * SEGMENT)
    await until(lambda: running.ended == [KEY])
    assert origin.takes == {}


async def test_a_successor_begins_the_open_segment_again_and_gets_the_same_bytes(
    process: Callable[..., Process],
) -> None:
    pcm = noise(3 * SEGMENT)
    origin = MemoryOrigin()
    first = process(origin)
    first.open(KEY, MONO).append(0, pcm[: SEGMENT + 60_000].tobytes())
    await until(lambda: origin.reached() == Position(1, 3))
    await first.stop()
    second = process(origin)
    bus = second.open(KEY, MONO)
    bus.append(0, pcm.tobytes())
    bus.end(3 * SEGMENT)
    await until(lambda: second.ended == [KEY])
    assert held(origin) == segmented(pcm, MONO)
    conflicts = second.metrics.registry.get_sample_value(
        "longwave_publish_conflicts_total", {"origin": "origin"}
    )
    assert not conflicts


async def test_what_the_bus_dropped_unread_is_a_gap_and_the_next_whole_segment_goes_on() -> None:
    pcm = noise(12 * SEGMENT)
    origin = MemoryOrigin()
    running = Process(origin)
    try:
        bus = running.open(KEY, MONO)
        bus.append(0, pcm[:50_000].tobytes())
        await until(lambda: origin.reached() == Position(0, 2))
        # 10 s of sound are held, 12 segments are 24 s: nobody could read the first ones.
        while bus.top < 12 * SEGMENT:
            bus.append(bus.top, pcm[bus.top : bus.top + BLOCK].tobytes())
        lost = range(12 * SEGMENT - 10 * 48_000 + SEGMENT - 1)[-1] // SEGMENT
        bus.end(12 * SEGMENT)
        await until(lambda: running.ended == [KEY])
        assert origin.gaps == [("64k", msn) for msn in range(lost)]
        assert running.value("longwave_gaps_total") == lost
        assert origin.ended() == 12 * SEGMENT
        right = segmented(pcm, MONO, lost + 1)
        assert {name: data for name, data in held(origin).items() if name[1] > lost} == right
    finally:
        await running.stop()


class _Failing(Segmenter):
    """Fails on the samples of segment 1: as often as it is told."""

    left = 0

    def push(self, pcm: NDArray[np.int16]) -> list[EncodedPart]:
        if type(self).left and self.needs <= first_sample(1) + 1 < self.needs + len(pcm):
            type(self).left -= 1
            raise RuntimeError("the encoder fails")
        return super().push(pcm)


@pytest.mark.parametrize(("failures", "gaps"), [(2, []), (3, [("64k", 0)])])
async def test_a_take_whose_encoder_fails_tries_again_and_then_gives_the_segment_up(
    process: Callable[..., Process],
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    gaps: list[tuple[str, int]],
) -> None:
    monkeypatch.setattr(transcoder_module, "Segmenter", _Failing)
    monkeypatch.setattr(_Failing, "left", failures)
    pcm = noise(3 * SEGMENT)
    origin = MemoryOrigin()
    running = process(origin)
    healthy = TakeKey("healthy", KEY.take)
    for key in (KEY, healthy):
        bus = running.open(key, MONO)
        bus.append(0, pcm[: SEGMENT - BLOCK].tobytes())
    await until(
        lambda: all(
            key in origin.takes and origin.takes[key].renditions["64k"].next.part == 4
            for key in (KEY, healthy)
        )
    )
    running.open(KEY, MONO).append(SEGMENT - BLOCK, pcm[SEGMENT - BLOCK :].tobytes())
    await until(lambda: _Failing.left == 0)
    other = running.open(healthy, MONO)
    other.append(SEGMENT - BLOCK, pcm[SEGMENT - BLOCK :].tobytes())
    for key in (KEY, healthy):
        running.open(key, MONO).end(3 * SEGMENT)
    await until(lambda: sorted(running.ended) == sorted([KEY, healthy]))
    assert origin.gaps == gaps
    assert running.value("longwave_take_failures_total") == failures
    wanted = segmented(pcm, MONO)
    assert held(origin, healthy) == wanted
    lost = {msn for _, msn in gaps}
    assert held(origin) == {name: data for name, data in wanted.items() if name[1] not in lost}


async def test_many_takes_share_a_thread_and_none_is_mixed_up(process: Callable[..., Process]) -> None:
    origin, bad = MemoryOrigin(), BadLine(5, trouble=0.02)
    running = process(origin, bad, threads=1)
    length = SEGMENT + 30_000
    sounds = {TakeKey(f"room{index}", KEY.take): noise(length) // (index + 1) for index in range(6)}
    buses = {key: running.open(key, MONO) for key in sounds}
    for start in range(0, length, 5 * BLOCK):
        for key, bus in buses.items():
            bus.append(start, sounds[key][start : start + 5 * BLOCK].tobytes())
        await asyncio.sleep(0)
    for bus in buses.values():
        bus.end(length)
    await until(lambda: len(running.ended) == len(sounds))
    for key, pcm in sounds.items():
        wanted = segmented(pcm, MONO)
        assert held(origin, key) == wanted
        await until(lambda key=key: key in bad.takes and bad.takes[key].ended)  # type: ignore[misc]
        assert held(bad, key) == wanted


async def test_stopping_leaves_no_task_behind(process: Callable[..., Process]) -> None:
    before = asyncio.all_tasks()
    running = process(MemoryOrigin())
    running.open(KEY, MONO).append(0, noise(SEGMENT).tobytes())
    await asyncio.sleep(0.05)
    await running.stop()
    assert asyncio.all_tasks() == before
