"""Who speaks while things break: by PCM and by WHIP, with a sound that tells what became of it.

`hum` never pauses and beeps every second, so that `silence` of a recording is what a fault cost, and `drift`
whether time went on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path

import aiohttp
import numpy as np

from contracts.errors import LongwaveError
from longwave.publish import PublishOptions, publish
from tests.audio import RATE, TONES_HZ, beeps, find_beeps
from tests.opus import opus_packets
from tests.soak.hearing import Pcm
from tests.whip_client import WhipClient

_WINDOW = RATE // 50
_PACKET = 960
# The hum is at 0.07 (RMS) of full scale; what an encoder rings on into silence is far below.
_SILENT = 0.01
# A voice looks so often whether it is still wanted where it is.
_LOOK_PACKETS = 5
_PATIENCE_SECONDS = 2.0


def hum(seconds: int) -> Pcm:
    """A deep tone that never stops, and a beep every second; mono at 48 kHz."""
    time = np.arange(seconds * RATE) / RATE
    tone = np.rint(np.sin(2 * np.pi * 110 * time) * 0.1 * 32_768).astype(np.int16)
    sound: Pcm = (beeps(seconds) // 2 + tone).astype(np.int16)
    return sound


def silence(recording: Pcm) -> float:
    """The longest time without the hum, in seconds, between its first and its last sound."""
    whole = len(recording) // _WINDOW * _WINDOW
    power = np.mean((recording[:whole].reshape(-1, _WINDOW) / 32_768.0) ** 2, axis=1)
    loud = np.flatnonzero(power > _SILENT**2)
    assert len(loud), "there is no sound at all"
    return float(np.max(np.diff(loud), initial=1) - 1) * _WINDOW / RATE


def drift(recording: Pcm) -> float:
    """By how many seconds beeps lie elsewhere than the first one says: time that went missing, or came twice.

    Less than four seconds are told for sure.
    """
    period = len(TONES_HZ) * RATE
    found = find_beeps(recording)
    assert len(found) > 1, "there are no beeps"
    begin = found[0].sample - found[0].tone * RATE
    off = [(beep.sample - beep.tone * RATE - begin + period // 2) % period - period // 2 for beep in found]
    return max(map(abs, off)) / RATE


@asynccontextmanager
async def sender(wav: Path, room: str, urls: Sequence[str], name: str) -> AsyncIterator[asyncio.Task[None]]:
    """`longwave publish` with several ingests, over and over; it goes when this is left, or the take ends.

    A `hum` of a multiple of eight seconds has no seam.
    """
    task = asyncio.create_task(_send(PublishOptions(wav, room, ",".join(urls), speaker=name, loop=True)))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _send(options: PublishOptions) -> None:
    with suppress(LongwaveError):  # a take that is ended turns its senders away
        await publish(options)


class Voice:
    """A browser that speaks by WHIP, and goes to the next ingest once it has lost this one.

    `connections` counts how often it was let in.
    """

    def __init__(self, sound: Pcm, room: str, urls: Sequence[str], name: str) -> None:
        self._payloads = opus_packets(sound)
        self._room, self._name = room, name
        self._urls = cycle(urls)
        self._url = next(self._urls)
        self._lost = asyncio.Event()
        self.connections = 0

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        """It speaks until this is left."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def lose(self) -> None:
        """Its browser notices that nobody is there any more, and the next ingest is its own from now on."""
        self._url = next(self._urls)
        self._lost.set()

    async def _run(self) -> None:
        began = asyncio.get_running_loop().time()
        while True:
            self._lost.clear()
            client = WhipClient(self._url, self._room, self._name)
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await client.publish()
                    await client.connected()
            except (AssertionError, aiohttp.ClientError, OSError):  # TimeoutError is an OSError
                await asyncio.sleep(0.2)
            else:
                self.connections += 1
                await self._speak(client, began)
            finally:
                await client.close()

    async def _speak(self, client: WhipClient, began: float) -> None:
        """What is due now, until this connection is lost, or the server has ended it."""
        while not self._lost.is_set():
            # A server that ends a session closes DTLS; the peer connection itself does not say so.
            if client.dtls.state in {"closed", "failed"}:
                self.lose()
                return
            at = round((asyncio.get_running_loop().time() - began) * RATE / _PACKET) % len(self._payloads)
            with suppress(ConnectionError):
                await client.play(self._payloads[at : at + _LOOK_PACKETS])
