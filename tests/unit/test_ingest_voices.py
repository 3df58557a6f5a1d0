"""Voices in the ingest: packets in as WHIP hands them over, sound and events on the bus, in virtual time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.access import Grant
from contracts.errors import SenderTimeout
from pipeline.voice.opus import BadOpus, OpusDecoder
from pipeline.voice.packet import VoicePacket
from storage.rooms import RoomRecord
from tests.audio import best_lag, speechlike
from tests.opus import opus_packets
from tests.voices import Arrival, Network, spoken
from tests.world import SECOND, WALL_US, World
from workers.bus import TakeBus
from workers.speaker import VoiceSpeaker
from workers.take_clock import real_samples

RATE = 48_000
BLOCK = 240
FRAME = 960
CLEAN = Network()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, block=BLOCK, sender_timeout=2, voice_timeout=5)
    made.rooms.put("room", RoomRecord(sound="as-is"))  # what is said is compared with what is heard
    yield made
    await made.ingest.stop()


def said(world: World, pcm: NDArray[np.int16], network: Network = CLEAN, ppm: int = 0) -> list[Arrival]:
    """The packets of somebody who begins to say `pcm` now."""
    return network.carry(spoken(opus_packets(pcm), at=real_samples(world.now), ppm=ppm))


def play(world: World, seconds: float, *lines: tuple[VoiceSpeaker, list[Arrival]]) -> None:
    """Let time pass: packets are heard when they arrive, and blocks are written when they are due."""
    packets = heapq.merge(
        *(
            [(one.at * SECOND // RATE, index, one.packet) for one in line]
            for index, (_, line) in enumerate(lines)
        ),
        key=lambda arrival: arrival[0],
    )
    due = world.now + world.tick_ns
    end = world.now + int(seconds * SECOND)
    for at, index, packet in [*packets, (end, -1, None)]:
        while due <= min(at, end):
            world.now = due
            world.ingest.tick(due)
            due += world.tick_ns
        if packet is None or at > end:
            return
        world.now = max(world.now, at)
        world.ingest.hear(lines[index][0], packet)


def decoded(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """What a listener with a perfect line hears of `pcm`: late by the encoder's look-ahead."""
    decoder = OpusDecoder(1)
    return np.concatenate([decoder.decode(payload) for payload in opus_packets(pcm)])[:, 0]


def only_bus(world: World) -> TakeBus:
    (bus,) = world.hub.live()
    return bus


def began(bus: TakeBus) -> int:
    """Sample 0 of a take, in samples of the world's clock."""
    return (bus.header.epoch_us - WALL_US) * RATE // 1_000_000


def story(bus: TakeBus) -> list[tuple[str, tuple[str, ...]]]:
    return [(event.kind, event.speakers) for event in bus.events_from(0)]


async def test_a_voice_begins_a_take_and_is_on_the_bus_within_60_ms(world: World) -> None:
    pcm = speechlike(3 * RATE, 1)
    speaker = await world.ingest.connect_voice("room", "Ada")
    begins = real_samples(world.now)
    play(world, 3.5, (speaker, said(world, pcm)))
    bus = only_bus(world)
    assert speaker.take == bus.key.take
    heard = bus.read(0, bus.top)[:, 0]
    # Short enough that the receiver, which reads a little faster until its delay is right, does not matter.
    match = best_lag(decoded(pcm)[RATE : RATE + 4800], heard)
    assert match.snr_db > 10
    # A sample is written with its block. Before a packet leaves, all of it was said and encoded.
    mouth_to_bus = began(bus) + match.lag - RATE + BLOCK - begins
    assert mouth_to_bus - FRAME - CLEAN.delay <= 60 * RATE // 1000


async def test_the_story_of_a_voice_is_told(world: World) -> None:
    pcm = np.concatenate([speechlike(2 * RATE, 1), np.zeros(RATE, np.int16)])
    speaker = await world.ingest.connect_voice("room", "Ada")
    play(world, 3.0, (speaker, said(world, pcm)))
    world.ingest.leave(speaker)
    play(world, 1.0)
    told = story(only_bus(world))
    assert told[0] == ("join", ("Ada",))
    assert [kind for kind, _ in told if kind in {"join", "leave"}] == ["join", "leave"]
    assert ("start", ("Ada",)) in told
    assert told.index(("start", ("Ada",))) < told.index(("speakers", ("Ada",)))
    assert ("speakers", ()) in told
    assert [kind for kind, _ in told].count("start") == [kind for kind, _ in told].count("stop")


async def test_voices_without_a_name_are_guests(world: World) -> None:
    one, two = [await world.ingest.connect_voice("room", None) for _ in range(2)]
    assert (one.name, two.name) == ("Guest 1", "Guest 2")
    pcm = speechlike(RATE, 1)
    play(world, 1.0, (one, said(world, pcm)), (two, said(world, pcm)))
    world.ingest.remove("room", "Guest 1")
    world.ingest.leave(one)
    three = await world.ingest.connect_voice("room", None)
    assert three.name == "Guest 3"  # who was removed is not somebody else


async def test_a_voice_and_a_programme_are_heard_together(world: World) -> None:
    music = await world.ingest.connect("room", None, 1)
    world.say(music, RATE, 4000)
    voice = await world.ingest.connect_voice("room", "Ada")
    play(world, 0.9, (voice, said(world, speechlike(RATE, 1))))
    heard = only_bus(world).read(0, 40_000)[:, 0].astype(int)
    assert (heard[:1000] == 4000).all()
    assert abs(heard[10_000:] - 4000).max() > 1000
    assert abs(heard[10_000:].mean() - 4000) < 200


async def test_a_sender_of_garbage_is_closed_and_the_room_goes_on(world: World) -> None:
    bad = await world.ingest.connect_voice("room", "bad", grant=Grant("speaker", "room"))
    good = await world.ingest.connect_voice("room", "good")
    pcm = speechlike(4 * RATE, 1)
    at = real_samples(world.now)
    rubbish = [Arrival(at + k * FRAME, VoicePacket(k, k * FRAME, 7, b"\xff\xff\xff")) for k in range(200)]
    play(world, 4.0, (good, said(world, pcm)), (bad, rubbish))
    assert isinstance(bad.closed, BadOpus)
    assert good.closed is None
    bus = only_bus(world)
    words = decoded(pcm)[3 * RATE : 3 * RATE + 4800]  # after the other one was closed
    assert best_lag(words, bus.read(0, bus.top)[:, 0]).snr_db > 10
    assert world.metric("longwave_speakers_dropped_total", reason="garbage") == 1
    world.ingest.leave(bad)
    assert world.metric("longwave_voice_packets_total", outcome="invalid") > 50


async def test_a_voice_that_vanishes_is_let_go_and_one_that_is_silent_is_not(world: World) -> None:
    gone, quiet, making = [
        await world.ingest.connect_voice("room", name) for name in ("gone", "quiet", "new")
    ]
    pcm = speechlike(RATE, 1)
    play(world, 1.0, (gone, said(world, pcm)), (quiet, said(world, pcm)))
    for _ in range(49):  # DTX, or a track that was taken away: keepalives only
        world.ingest.alive(quiet)
        play(world, 0.1)
    closed = [gone.closed]
    play(world, 0.2)
    assert [type(error) for error in (*closed, gone.closed)] == [type(None), SenderTimeout]
    assert quiet.closed is None
    assert making.closed is None  # its connection is still being made; others watch over that
    assert world.metric("longwave_speakers_dropped_total", reason="timeout") == 1


async def test_nobody_is_let_go_because_the_process_stood_still(world: World) -> None:
    """Who says nothing on purpose could not even show that they are there."""
    quiet, gone = [await world.ingest.connect_voice("room", name) for name in ("quiet", "gone")]
    for speaker in (quiet, gone):
        world.ingest.alive(speaker)
    play(world, 1.0)
    world.now += 6 * SECOND
    play(world, 1.5)
    closed = [quiet.closed, gone.closed]
    world.ingest.alive(quiet)
    play(world, 1.0)
    assert [*closed, quiet.closed] == [None] * 3
    assert isinstance(gone.closed, SenderTimeout)


async def test_what_becomes_of_packets_is_counted(world: World) -> None:
    speaker = await world.ingest.connect_voice("room", "Ada")
    play(world, 6.0, (speaker, said(world, speechlike(6 * RATE, 1), Network(loss=0.1, jitter=480, seed=2))))
    world.ingest.leave(speaker)
    packets, lost, recovered = [
        world.metric("longwave_voice_packets_total", outcome=outcome)
        for outcome in ("packets", "lost", "recovered")
    ]
    stats = speaker.source.counts()
    assert (packets, lost, recovered) == (stats["packets"], stats["lost"], stats["recovered"])
    assert 15 < lost < 50
    assert recovered > 0
    assert world.metric("longwave_speaker_delay_seconds_count") >= 5
    mean = world.metric("longwave_speaker_delay_seconds_sum") / world.metric(
        "longwave_speaker_delay_seconds_count"
    )
    assert 0.01 < mean < 0.1


async def test_voices_of_other_clocks_and_networks_stay_in_step(world: World) -> None:
    """The same words from three places: what is heard of them lies within 40 ms."""
    pcm = speechlike(8 * RATE, 1)
    lines = [
        (CLEAN, 0),
        (Network(jitter=960, loss=0.05, seed=3), 0),
        (Network(delay=480), 200),
    ]
    begins = real_samples(world.now)
    lags = []
    for number in range(len(lines)):
        world.rooms.put(f"room{number}", RoomRecord(sound="as-is"))
    speakers = [await world.ingest.connect_voice(f"room{n}", "Ada") for n in range(len(lines))]
    play(
        world,
        8.5,
        *(
            (speaker, said(world, pcm, network, ppm))
            for speaker, (network, ppm) in zip(speakers, lines, strict=True)
        ),
    )
    words = decoded(pcm)[6 * RATE : 6 * RATE + 4800]
    for bus in world.hub.live():
        match = best_lag(words, bus.read(0, bus.top)[:, 0])
        lags.append(began(bus) + match.lag - 6 * RATE - begins)
    assert max(lags) - min(lags) < 40 * RATE // 1000


async def test_a_process_that_stood_still_loses_nothing_of_a_voice(world: World) -> None:
    """Its packets wait in the socket, and come out of it one with each turn of the loop."""
    pcm = speechlike(3 * RATE, 1)
    speaker = await world.ingest.connect_voice("room", "Ada")
    packets = said(world, pcm)
    stop = real_samples(world.now) + RATE + RATE // 2
    play(world, 1.5, (speaker, [one for one in packets if one.at < stop]))
    waiting = [one.packet for one in packets if stop <= one.at < stop + RATE // 5]
    world.now += SECOND // 5

    async def read() -> None:
        for packet in waiting:
            await asyncio.sleep(0)
            world.ingest.hear(speaker, packet)

    reading = asyncio.create_task(read())
    await world.ingest._catch_up(world.now)
    await reading
    world.ingest.tick(world.now)
    play(world, 1.0, (speaker, [one for one in packets if one.at >= stop + RATE // 5]))
    assert len(waiting) == 10
    counts = speaker.source.counts()
    assert (counts["concealed"], counts["late"], counts["skipped"]) == (0, 0, 0)
    bus = only_bus(world)
    words = decoded(pcm)[RATE + RATE // 2 : RATE + RATE // 2 + 4800]
    assert best_lag(words, bus.read(0, bus.top)[:, 0]).snr_db > 5


async def test_after_a_stall_nobody_is_waited_for_who_floods_with_garbage(world: World) -> None:
    ada = await world.ingest.connect_voice("room", "Ada")
    flooding = await world.ingest.connect_voice("room", "Bo")
    play(world, 1.0, (ada, said(world, speechlike(2 * RATE, 1))))
    bus = only_bus(world)

    async def flood() -> None:
        while True:
            await asyncio.sleep(0)
            world.ingest.hear(flooding, VoicePacket(0, 0, 1, b""))

    task = asyncio.create_task(flood())
    top, stood = bus.top, SECOND // 5
    world.now += stood
    async with asyncio.timeout(10):
        await world.ingest._catch_up(world.now)
    task.cancel()
    assert bus.top == top + RATE // 5
