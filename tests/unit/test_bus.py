"""What every bus does, in memory or elsewhere: one test for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeSettings
from workers.bus import BusHub, BusRefused, SamplesLost, TakeBus
from workers.memory_bus import MemoryHub, MemoryTakeBus

BLOCK = 960
KEY = TakeKey("room", "20260131T200000Z-abc234")
OTHER = TakeKey("other", "20260131T200000Z-abc235")
MONO = TakeHeader(0, TakeSettings(), "f")
STEREO = TakeHeader(0, TakeSettings(channels=2), "f")

HubFactory = Callable[[], BusHub]


@pytest.fixture(params=[MemoryHub])
def hub(request: pytest.FixtureRequest) -> BusHub:
    made: BusHub = request.param()
    return made


def ramp(start: int, count: int, channels: int = 1) -> NDArray[np.int16]:
    """Samples that say where they belong."""
    index = np.arange(start, start + count, dtype=np.int64)[:, None] * 7 + np.arange(channels)
    return (index % 60_000 - 30_000).astype("<i2")


def put(bus: TakeBus, start: int, count: int) -> None:
    bus.append(start, ramp(start, count, bus.header.settings.channels).tobytes())


@pytest.mark.parametrize("header", [MONO, STEREO])
def test_what_goes_in_comes_out_under_its_index(hub: BusHub, header: TakeHeader) -> None:
    bus = hub.open(KEY, header)
    put(bus, 0, BLOCK)
    put(bus, BLOCK, 3 * BLOCK)
    assert (bus.first, bus.top, bus.ended) == (0, 4 * BLOCK, None)
    channels = header.settings.channels
    assert np.array_equal(bus.read(500, 3000), ramp(500, 2500, channels))
    assert bus.read(700, 700).shape == (0, channels)


def test_a_hole_is_refused_and_says_where_to_go_on(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    with pytest.raises(BusRefused) as refused:
        put(bus, 2 * BLOCK, BLOCK)
    assert refused.value.top == bus.top == BLOCK


def test_appending_twice_changes_nothing(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, 2 * BLOCK)
    put(bus, 0, 2 * BLOCK)
    bus.append_silence(BLOCK, BLOCK)
    assert bus.top == 2 * BLOCK
    assert np.array_equal(bus.read(0, 2 * BLOCK), ramp(0, 2 * BLOCK))


def test_a_retry_that_reaches_further_adds_only_what_is_new(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, 2 * BLOCK)
    put(bus, BLOCK, 3 * BLOCK)
    assert np.array_equal(bus.read(0, 4 * BLOCK), ramp(0, 4 * BLOCK))


def test_half_a_sample_is_never_put(hub: BusHub) -> None:
    with pytest.raises(ValueError, match="whole samples"):
        hub.open(KEY, STEREO).append(0, b"\0\0\0\0\0\0")


def test_silence_is_zeros_between_the_sounds(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    bus.append_silence(BLOCK, BLOCK)
    bus.append_silence(2 * BLOCK, BLOCK)
    put(bus, 3 * BLOCK, BLOCK)
    assert not bus.read(BLOCK, 3 * BLOCK).any()
    assert np.array_equal(bus.read(3 * BLOCK - 5, 4 * BLOCK)[5:], ramp(3 * BLOCK, BLOCK))


def test_sound_is_held_for_ten_seconds_and_then_lost(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    for start in range(0, 720_000, 4800):
        put(bus, start, 4800)
    assert bus.top - 480_000 <= bus.first < bus.top - 470_000
    assert np.array_equal(bus.read(bus.first, bus.first + 100), ramp(bus.first, 100))
    with pytest.raises(SamplesLost) as lost:
        bus.read(bus.first - 1, bus.top)
    assert lost.value.first == bus.first


def test_a_minute_of_silence_at_once_pushes_no_sound_out(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    bus.append_silence(BLOCK, 60 * 48_000)
    put(bus, bus.top, BLOCK)
    assert bus.first == 0
    assert np.array_equal(bus.read(0, BLOCK), ramp(0, BLOCK))


def test_even_silence_is_not_held_for_ever(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    for _ in range(10):
        bus.append_silence(bus.top, 60 * 48_000)
    assert bus.top - bus.first == 120 * 48_000
    assert not bus.read(bus.first, bus.first + 100).any()


def test_nothing_is_read_before_it_is_there(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    with pytest.raises(ValueError, match="not within"):
        bus.read(0, BLOCK + 1)


def test_what_is_read_is_a_copy(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    bus.read(0, BLOCK)[:] = 0
    assert np.array_equal(bus.read(0, BLOCK), ramp(0, BLOCK))


def test_a_restarted_owner_goes_on_above_what_is_lost(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO, 288_000)
    assert (bus.first, bus.top) == (288_000, 288_000)
    put(bus, 288_000, BLOCK)
    with pytest.raises(SamplesLost):
        bus.read(0, BLOCK)


def test_after_the_end_nothing_is_added(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    with pytest.raises(BusRefused):
        bus.end(2 * BLOCK)
    bus.end(BLOCK)
    bus.end(BLOCK)
    assert bus.ended == BLOCK
    put(bus, 0, BLOCK)  # a retry is still fine
    with pytest.raises(BusRefused, match="ended"):
        put(bus, BLOCK, BLOCK)
    with pytest.raises(BusRefused, match="ended"):
        bus.append_silence(BLOCK, 1)


def test_events_are_read_from_a_cursor(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    one, two = TakeEvent(0, 0, "speakers", speakers=("Ada",)), TakeEvent(BLOCK, 0, "chapter", title="News")
    bus.append_event(one)
    bus.append_event(two)
    assert bus.events_from(0) == (one, two)
    assert bus.events_from(1) == (two,)
    assert bus.events_from(2) == ()


def test_an_event_ahead_of_the_sound_is_refused(hub: BusHub) -> None:
    with pytest.raises(BusRefused, match="ahead"):
        hub.open(KEY, MONO).append_event(TakeEvent(1, 0, "chapter", title="News"))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_reader_wakes_with_its_sample_and_not_before(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    near, far = asyncio.ensure_future(bus.wait(BLOCK)), asyncio.ensure_future(bus.wait(BLOCK + 1))
    await settle()
    assert not near.done()
    put(bus, 0, BLOCK)
    await settle()
    assert near.done()
    assert not far.done()
    bus.append_silence(BLOCK, BLOCK)
    await settle()
    assert far.done()


async def test_what_is_there_is_not_waited_for(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    await asyncio.wait_for(bus.wait(BLOCK), 5)


async def test_the_end_wakes_everybody(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    waiting = asyncio.ensure_future(bus.wait(10_000))
    await settle()
    bus.end(0)
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(bus.wait(20_000), 5)


async def test_a_reader_that_gives_up_leaves_nothing_behind() -> None:
    bus = MemoryTakeBus(KEY, MONO)
    waiting = asyncio.ensure_future(bus.wait(BLOCK))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert bus._waiters == []
    put(bus, 0, BLOCK)


async def test_the_hub_tells_of_takes_that_come_end_and_go(hub: BusHub) -> None:
    seen = await asyncio.wait_for(hub.changed(-1), 5)
    for change in (lambda: hub.open(KEY, MONO), lambda: hub.live()[0].end(0), lambda: hub.close(KEY)):
        watching = asyncio.ensure_future(hub.changed(seen))
        await settle()
        assert not watching.done()
        change()
        seen = await asyncio.wait_for(watching, 5)
    assert hub.live() == ()


async def test_changes_that_nobody_watched_are_not_missed(hub: BusHub) -> None:
    seen = hub.version
    hub.open(KEY, MONO)
    hub.open(OTHER, STEREO)
    assert await asyncio.wait_for(hub.changed(seen), 5) == hub.version
    assert [bus.key for bus in hub.live()] == [KEY, OTHER]


def test_opening_again_gives_the_same_take(hub: BusHub) -> None:
    bus = hub.open(KEY, MONO)
    put(bus, 0, BLOCK)
    assert hub.open(KEY, MONO) is bus
    with pytest.raises(BusRefused, match="other settings"):
        hub.open(KEY, STEREO)


def test_an_ended_take_stays_until_it_is_closed(hub: BusHub) -> None:
    hub.open(KEY, MONO).end(0)
    assert len(hub.live()) == 1
    hub.close(KEY)
    hub.close(KEY)
    assert hub.live() == ()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400), st.integers(0, 200)), max_size=40))
def test_whatever_is_appended_reads_back(steps: list[tuple[bool, int, int]]) -> None:
    """Sound and silence of any length, some of it sent again, against a plain list."""
    bus = MemoryTakeBus(KEY, MONO, sound_held=1000, span_held=3000)
    model = np.zeros((0, 1), dtype=np.int16)
    for silent, count, back in steps:
        start = max(0, bus.top - back)
        block = np.zeros((count, 1), dtype="<i2") if silent else ramp(start + 1, count)
        model = np.concatenate([model, block[bus.top - start :]])
        if silent:
            bus.append_silence(start, count)
        else:
            bus.append(start, block.tobytes())
        assert bus.top == len(model)
        assert np.array_equal(bus.read(bus.first, bus.top), model[bus.first :])
        assert bus.top - bus.first <= 3000
        assert bus.first == 0 or bus.top - bus.first >= 600
