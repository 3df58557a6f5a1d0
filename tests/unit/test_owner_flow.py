"""A programme alone in its room is passed on in longer runs, bit by bit; who waits gets it at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.audio import seeded_noise
from tests.world import World
from workers.speaker import PcmSpeaker

BLOCK = 240
RUN = 4 * BLOCK


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, block=BLOCK)


async def programme(world: World, seconds: float = 2.0) -> NDArray[np.int16]:
    pcm = seeded_noise(round(48_000 * seconds), seed=11)
    speaker = await world.ingest.connect("room", "Radio", 1)
    world.ingest.feed(speaker, pcm[:24_000].tobytes())
    for start in range(24_000, len(pcm), BLOCK):
        world.ingest.feed(speaker, pcm[start : start + BLOCK].tobytes())
        world.tick()
    return pcm


async def test_what_flows_is_bit_by_bit_what_was_sent(world: World) -> None:
    pcm = await programme(world)
    (bus,) = world.hub.live()
    assert bus.top >= 48_000
    assert np.array_equal(bus.read(0, bus.top)[:, 0], pcm[: bus.top])


async def test_nobody_waiting_it_is_written_four_blocks_at_once(world: World) -> None:
    await programme(world)
    (bus,) = world.hub.live()
    tops = []
    (speaker,) = world.ingest._stages.live("room").speakers
    assert isinstance(speaker, PcmSpeaker)
    for _ in range(40):
        world.say(speaker, BLOCK, 99)
        world.tick()
        tops.append(bus.top)
    assert set(np.diff(tops)) == {0, RUN}
    assert np.count_nonzero(np.diff(tops)) >= 9


async def test_who_waits_for_a_sample_gets_it_with_its_block(world: World) -> None:
    await programme(world)
    (bus,) = world.hub.live()
    for ahead in (1, 239, 241, 500, 959):
        wanted = bus.top + ahead
        waiting = asyncio.create_task(bus.wait(wanted))
        await asyncio.sleep(0)
        ticks = 0
        while bus.top < wanted:
            world.tick()
            ticks += 1
        assert ticks == -(-ahead // BLOCK)
        await waiting


async def test_a_second_speaker_is_mixed_in_and_the_programme_goes_on_exactly_when_he_has_gone(
    world: World,
) -> None:
    noise = seeded_noise(6 * 48_000, seed=12, amplitude=0.05)
    radio = await world.ingest.connect("room", "Radio", 1)
    guest = None
    for tick in range(6 * 48_000 // BLOCK):
        world.ingest.feed(radio, noise[tick * BLOCK : (tick + 1) * BLOCK].tobytes())
        if tick == 200:
            guest = await world.ingest.connect("room", "Guest", 1)
            world.ingest.feed(guest, seeded_noise(48_000, seed=13, amplitude=0.05).tobytes())
            world.ingest.finish(guest)
        world.tick()
    (bus,) = world.hub.live()
    heard = bus.read(0, bus.top)[:, 0].astype(int)
    lead = heard - noise[: len(heard)]
    other = np.flatnonzero(lead)
    assert 0.9 * 48_000 < np.ptp(other) <= 48_000
    assert not lead[: other[0]].any()
    assert not lead[other[-1] + 1 :].any()
    assert len(heard) > 5 * 48_000
