"""Connections of speakers that stall, break, are replaced, or send nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from contracts.errors import (
    Busy,
    LongwaveError,
    SenderTimeout,
)
from tests.world import BLOCK, World
from workers.intake import START_BUFFER


async def test_a_speaker_that_breaks_is_dropped_and_the_room_goes_on(
    lone_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, bus = await lone_world.live(name="Ada")
    other = await lone_world.ingest.connect("room", "Bo", 1)
    lone_world.say(other, START_BUFFER, 100)

    def fail(_now: int) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(broken.source, "pull", fail)
    lone_world.tick(5)
    assert type(broken.closed) is LongwaveError
    assert bus.ended is None
    assert bus.read(bus.top - BLOCK, bus.top).min() == 100
    assert lone_world.present() == ["Bo"]
    assert lone_world.metric("longwave_speakers_dropped_total", reason="error") == 1
    assert lone_world.metric("longwave_unexpected_errors_total", where="speaker") == 1


async def test_after_a_stall_everybody_is_read_to_the_end_before_anything_is_silence(
    lone_world: World,
) -> None:
    """One has nothing more to say; the other's bytes come out of its socket a little at a time."""
    dry, bus = await lone_world.live(name="dry")
    full = await lone_world.ingest.connect("room", "full", 1)
    lone_world.say(dry, 15 * BLOCK, 7)
    lone_world.say(full, START_BUFFER, 100)
    lone_world.tick(8)

    async def read() -> None:
        for _ in range(200):
            await full.paced()  # two seconds do not fit into its buffer at once
            await asyncio.sleep(0)
            lone_world.say(full, BLOCK // 2, 100)

    lone_world.now += 95 * lone_world.tick_ns
    reading = asyncio.create_task(read())
    await lone_world.ingest._catch_up(lone_world.now)
    lone_world.ingest.tick(lone_world.now)
    await reading
    assert bus.top == 104 * BLOCK
    assert bus.read(4 * BLOCK, bus.top).min() == 100  # of both, then of the one
    assert bus.read(10 * BLOCK, 11 * BLOCK).min() == 107


async def test_after_a_stall_nobody_is_waited_for_who_floods_while_muted(lone_world: World) -> None:
    """Nothing of it is kept, so that nothing of it is ever whole, and it is never too much to be read."""
    ada, bus = await lone_world.live(name="Ada")
    flooding = await lone_world.ingest.connect("room", "Bo", 1)
    flooding.intake.mute()
    lone_world.say(ada, 20 * BLOCK)

    async def flood() -> None:
        while True:
            await asyncio.sleep(0)
            lone_world.say(flooding, BLOCK)

    task = asyncio.create_task(flood())
    lone_world.now += 10 * lone_world.tick_ns
    async with asyncio.timeout(10):
        await lone_world.ingest._catch_up(lone_world.now)
    task.cancel()
    assert bus.top == 11 * BLOCK
    assert bus.read(0, bus.top).min() == 7


async def test_a_take_that_is_ended_while_it_catches_up_is_over(lone_world: World) -> None:
    """The host's request may be among what is read after a stall, and so may the next take's first sound."""
    ada, bus = await lone_world.live(name="Ada")
    lone_world.say(ada, 4 * BLOCK)

    async def end() -> None:
        await asyncio.sleep(0)
        lone_world.ingest.end("room")
        again = await lone_world.ingest.connect("room", "Ada", 1)
        lone_world.say(again, START_BUFFER)

    lone_world.now += 10 * lone_world.tick_ns
    ending = asyncio.create_task(end())
    await lone_world.ingest._catch_up(lone_world.now)
    await ending
    following = lone_world.hub.live()[-1]
    assert bus.ended == bus.top
    assert following.key != bus.key
    lone_world.tick(2)
    assert following.top > 0
    assert lone_world.metric("longwave_unexpected_errors_total", where="owner") == 0


async def test_the_same_name_replaces_its_old_connection(lone_world: World) -> None:
    old, bus = await lone_world.live(name="Ada")
    new = await lone_world.ingest.connect("room", "Ada", 1)
    assert isinstance(old.closed, Busy)
    lone_world.ingest.leave(old)
    lone_world.say(new, START_BUFFER, 9)
    lone_world.tick(5)
    assert bus.read(5 * BLOCK, 6 * BLOCK).tolist() == [[9]] * BLOCK
    assert lone_world.metric("longwave_speakers") == 1


async def test_a_closed_speakers_task_sees_why(lone_world: World) -> None:
    speaker, _ = await lone_world.live(name="Ada")

    async def connection() -> None:
        with speaker.attached():
            await asyncio.sleep(3600)

    task = asyncio.create_task(connection())
    await asyncio.sleep(0)
    await lone_world.ingest.connect("room", "Ada", 1)
    with pytest.raises(Busy, match="newer connection"):
        await task
    with pytest.raises(Busy, match="newer connection"), speaker.attached():
        pass


async def test_a_cancelled_connection_is_just_cancelled(lone_world: World) -> None:
    speaker, _ = await lone_world.live()

    async def connection() -> None:
        with speaker.attached():
            await asyncio.sleep(3600)

    task = asyncio.create_task(connection())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_fast_connection_waits_for_room_and_goes_on(lone_world: World) -> None:
    speaker, _ = await lone_world.live()
    lone_world.say(speaker, 48_000)
    waiting = asyncio.create_task(speaker.paced())
    await asyncio.sleep(0)
    lone_world.tick(5)
    await asyncio.sleep(0)
    assert not waiting.done()
    lone_world.tick(6)
    await asyncio.wait_for(waiting, 5)


async def test_a_take_without_a_speaker_ends_after_the_idle_timeout(tmp_path: Path) -> None:
    world = World(tmp_path, idle_timeout=2.0)
    speaker, bus = await world.live()
    world.ingest.leave(speaker)
    world.tick(99)
    ended = [bus.ended]
    world.tick()
    assert [*ended, bus.ended] == [None, bus.top] == [None, 101 * BLOCK]
    await world.ingest.stop()


async def test_a_speaker_that_comes_in_time_keeps_the_take_alive(tmp_path: Path) -> None:
    world = World(tmp_path, idle_timeout=2.0)
    speaker, bus = await world.live()
    world.ingest.leave(speaker)
    world.tick(99)
    speaker = await world.ingest.connect("room", None, 1)
    world.tick(200)
    world.ingest.leave(speaker)
    world.tick(99)
    ended = [bus.ended]
    world.tick()
    assert [*ended, bus.ended] == [None, bus.top]
    await world.ingest.stop()


async def test_who_sends_nothing_is_let_go(tmp_path: Path) -> None:
    world = World(tmp_path, sender_timeout=1.0)
    speaker, bus = await world.live()
    world.tick(48)
    closed = [speaker.closed]
    world.tick(3)
    assert [type(error) for error in (*closed, speaker.closed)] == [type(None), SenderTimeout]
    world.ingest.leave(speaker)
    world.tick(10)
    assert bus.ended is None
    assert world.metric("longwave_speakers_dropped_total", reason="timeout") == 1
    await world.ingest.stop()


async def test_who_is_paced_or_muted_or_done_is_not_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path, sender_timeout=1.0)
    (paced, _), (muted, _), (done, _) = [await world.live(room) for room in "abc"]
    muted.intake.mute()
    world.ingest.finish(done)
    for _ in range(20):
        world.say(paced, 10 * BLOCK + 48_000 - paced.intake.held)
        world.tick(10)
    assert paced.closed is muted.closed is done.closed is None
    await world.ingest.stop()
