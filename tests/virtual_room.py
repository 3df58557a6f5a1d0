"""A room of voices in virtual time: ingest, mixer and receivers are real, and the test moves their clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from contracts.take import TakeEvent
from pipeline.voice.packet import VoicePacket
from storage.names import STORY, take_object
from tests.audio import RATE
from tests.room_ear import Sound
from tests.room_of_voices import CAST, MUTED, Voice, mutes
from tests.waiting import until
from tests.world import SECOND, WALL_US, World
from workers.memory_bus import MemoryTakeBus
from workers.speaker import VoiceSpeaker

ROOM = "room"
_BLOCK = 240


@dataclass(frozen=True)
class Held:
    """A room that was held: what came onto the bus, and what was told of it.

    `began` is the room's instant of the take's sample 0; `samples` is the take's length as it was ended, and
    `clock` what its clock said then. `record` is its story.json.
    """

    began: int
    mix: Sound
    samples: int
    clock: int
    events: tuple[TakeEvent, ...]
    record: Any


async def hold_room(directory: Path, seconds: int) -> Held:
    """Hold the room for `seconds` of virtual time, with the blocks that a server has."""
    world = World(directory, block=_BLOCK)
    try:
        return await VirtualRoom(world, seconds * RATE).hold()
    finally:
        await world.ingest.stop()


class VirtualRoom:
    """Plays the cast into `world` for `length` samples, and takes down what comes onto the bus."""

    def __init__(self, world: World, length: int) -> None:
        self._world = world
        self._length = length
        self._zero_ns = world.now
        self._due = world.now + world.tick_ns
        self._present: dict[str, VoiceSpeaker] = {}
        self._bus: MemoryTakeBus | None = None
        self._taken: list[Sound] = []
        self._read = 0

    async def hold(self) -> Held:
        """All of it, from the first packet to the end of the take."""
        world = self._world
        steps = self._comings() + self._packets() + self._hand()
        for at, act in sorted(steps, key=itemgetter(0)):
            await self._pass(at)
            result = act()
            if result is not None:
                await result
        await self._pass(self._length)
        (bus,) = world.hub.live()
        self._take_down()
        key, samples = world.ingest.end(ROOM)
        zero_us = bus.header.epoch_us - WALL_US
        path = world.data / take_object(key, STORY)
        await until(path.exists)
        return Held(
            began=(zero_us * 1000 - self._zero_ns) * RATE // SECOND,
            mix=np.concatenate(self._taken),
            samples=samples,
            clock=(world.now - zero_us * 1000) * RATE // SECOND,
            events=bus.events_from(0),
            record=json.loads(path.read_bytes()),
        )

    def _comings(self) -> list[tuple[int, Callable[[], Any]]]:
        steps: list[tuple[int, Callable[[], Any]]] = []
        for voice in CAST:
            for visit in voice.visits_until(self._length):
                steps.append((visit.start, partial(self._come, voice)))
                if visit.stop < self._length:
                    steps.append((visit.stop, partial(self._go, voice)))
        return steps

    def _packets(self) -> list[tuple[int, Callable[[], Any]]]:
        return [
            (at, partial(self._hear, voice, packet))
            for voice in CAST
            for visit in voice.visits_until(self._length)
            for at, packet in voice.network.carry(voice.sends(visit))
            if at <= self._length
        ]

    def _hand(self) -> list[tuple[int, Callable[[], Any]]]:
        """The host's."""
        ingest = self._world.ingest
        return [
            (at, partial(act, ROOM, MUTED))
            for span in mutes(self._length)
            for at, act in zip(span, (ingest.mute, ingest.unmute), strict=True)
        ]

    async def _come(self, voice: Voice) -> None:
        self._present[voice.name] = await self._world.ingest.connect_voice(ROOM, voice.name)

    def _go(self, voice: Voice) -> None:
        self._world.ingest.leave(self._present.pop(voice.name))

    def _hear(self, voice: Voice, packet: VoicePacket) -> None:
        speaker = self._present.get(voice.name)
        if speaker is not None:  # what arrives after the connection was closed is heard by nobody
            self._world.ingest.hear(speaker, packet)

    async def _pass(self, at: int) -> None:
        """Let time pass until the room's instant `at`."""
        world = self._world
        now = self._zero_ns - (-at * SECOND // RATE)
        while self._due <= now:
            world.now = self._due
            world.ingest.tick(self._due)
            if self._due % SECOND == 0:
                self._take_down()
                await asyncio.sleep(0)
            self._due += world.tick_ns
        world.now = max(world.now, now)

    def _take_down(self) -> None:
        """What is new on the bus, which does not keep it for long."""
        buses = self._world.hub.live()
        if buses:
            (bus,) = buses
            pcm = bus.read(self._read, bus.top)[:, 0]
            self._taken.append(pcm.astype(np.float32) / np.float32(32_768))
            self._read = bus.top
