"""The five of a room of voices as publishers by WHIP, in real time: a program of its own.

``python -m tests.room_senders URL ROOM SECONDS``. It speaks, mutes and unmutes as the host, ends the take,
and prints what it knows as JSON: instants in microseconds of UTC, and by how much its packets left too late
in each second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from operator import itemgetter
from typing import Any
from unittest.mock import patch

import aiohttp

from pipeline.voice.packet import VoicePacket
from tests.audio import RATE
from tests.room_of_voices import CAST, MUTED, Voice, mutes
from tests.whip_client import WhipClient

# A handshake takes some tenths of a second, on a machine that is busy more.
_CONNECT_BEFORE = 5 * RATE
_SECOND_NS = 1_000_000_000

Step = tuple[int, Callable[[], Awaitable[object] | None]]


class Senders:
    """The cast, and the host, in the room `room` of the server at `url` for `length` samples."""

    def __init__(self, url: str, room: str, length: int, http: aiohttp.ClientSession) -> None:
        self._url, self._room, self._length, self._http = url, room, length, http
        self._clients: dict[tuple[str, int], WhipClient] = {}
        self._late_ns = [0] * (length // RATE + 1)
        self._zero_ns = 0

    async def run(self) -> dict[str, object]:
        """All of it; the report."""
        steps = self._packets() + self._hand() + self._visits()
        async with AsyncExitStack() as stack:
            for voice in CAST:
                await self._connect(voice, 0)
            stack.push_async_callback(self._close)
            self._zero_ns = time.monotonic_ns() + _SECOND_NS // 2
            zero_us = (time.time_ns() + self._zero_ns - time.monotonic_ns()) // 1000
            async with asyncio.TaskGroup() as others:
                for at, act in sorted(steps, key=itemgetter(0)):
                    await self._until(at)
                    doing = act()
                    if doing is not None:  # the others do not wait for a handshake
                        others.create_task(_finished(doing))
            await self._until(self._length)
            before_us = time.time_ns() // 1000
            ended = await self._post("end")
            return {
                "zero_us": zero_us,
                "end_us": [before_us, time.time_ns() // 1000],
                "take": ended["take"],
                "samples": ended["samples"],
                "late_ms": [round(late / 1_000_000, 1) for late in self._late_ns],
            }

    def _packets(self) -> list[Step]:
        return [
            (at, partial(self._send, voice, visit.start, at, packet))
            for voice in CAST
            for visit in voice.visits_until(self._length)
            for at, packet in voice.network.carry(voice.sends(visit))
            if at < self._length
        ]

    def _visits(self) -> list[Step]:
        steps: list[Step] = []
        for voice in CAST:
            for visit in voice.visits_until(self._length):
                if visit.start:
                    connect = partial(self._connect, voice, visit.start)
                    steps.append((visit.start - _CONNECT_BEFORE, connect))
                if visit.stop < self._length:
                    steps.append((visit.stop, partial(self._leave, voice, visit.start)))
        return steps

    def _hand(self) -> list[Step]:
        return [
            (at, partial(self._post, f"speakers/{MUTED}/{act}"))
            for span in mutes(self._length)
            for at, act in zip(span, ("mute", "unmute"), strict=True)
        ]

    async def _connect(self, voice: Voice, visit: int) -> None:
        client = WhipClient(self._url, self._room, voice.name)
        self._clients[voice.name, visit] = await client.__aenter__()

    async def _leave(self, voice: Voice, visit: int) -> None:
        client = self._clients.pop((voice.name, visit))
        await client.delete()
        await client.close()

    async def _send(self, voice: Voice, visit: int, at: int, packet: VoicePacket) -> None:
        client = self._clients.get((voice.name, visit))
        if client is None:  # it has left while this was on its way through a network, or is not there yet
            return
        second = at // RATE
        self._late_ns[second] = max(self._late_ns[second], time.monotonic_ns() - self._at_ns(at))
        client.sequence, client.timestamp, client.ssrc = packet.sequence, packet.timestamp, packet.ssrc
        await client.send(packet.payload)

    async def _post(self, what: str) -> Any:  # noqa: ANN401 - parsed JSON
        async with self._http.post(f"{self._url}/rooms/{self._room}/{what}") as response:
            answer = await response.json()
            assert response.status == 200, answer
            return answer

    async def _close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _at_ns(self, at: int) -> int:
        return self._zero_ns + at * _SECOND_NS // RATE

    async def _until(self, at: int) -> None:
        left = self._at_ns(at) - time.monotonic_ns()
        if left > 0:
            await asyncio.sleep(left / 1e9)


async def _finished(doing: Awaitable[object]) -> None:
    await doing


async def main(url: str, room: str, seconds: str) -> None:
    """As on the command line."""
    # aioice gives up after six checks without an answer within half a second: this machine may be busy.
    patient = patch("aioice.ice.CONSENT_FAILURES", 1_000_000)
    async with aiohttp.ClientSession() as http:
        with patient:
            told = await Senders(url, room, int(seconds) * RATE, http).run()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
