"""Many voices by WHIP: `python -m benchmarks.publishers URL ROOM COUNT [--beeps]`, until ended.

Their packets are made beforehand, so that this process costs little and sends each when it is due. With
--beeps they beep, and of each beep it is said when its first packet was sent: `beep TONE SECONDS`, the
seconds since 1970.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from benchmarks.sound import loop
from tests.audio import RATE, TONES_HZ, beeps
from tests.opus import opus_packets
from tests.whip_client import WhipClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PERIOD: Final = RATE // 2
_FRAME: Final = 960
_PACKETS_A_BEEP: Final = PERIOD // _FRAME
# What a browser sends of speech.
_BIT_RATE: Final = 32_000


def _say_beeps(number: int, data: bytes) -> Iterable[bytes]:
    """Called with every packet as it goes out."""
    if number % _PACKETS_A_BEEP == 0:
        print(f"beep {number // _PACKETS_A_BEEP % len(TONES_HZ)} {time.time():.6f}", flush=True)
    return [data]


async def publish(url: str, room: str, count: int, *, beeping: bool) -> None:
    """Send for ever."""
    sound = beeps(len(TONES_HZ) * PERIOD / RATE, period_samples=PERIOD) if beeping else loop()
    payloads = opus_packets(sound, bit_rate=_BIT_RATE)
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for index in range(count):
            name = f"voice-{index}"
            client = (
                WhipClient(url, room, name, network=_say_beeps) if beeping else WhipClient(url, room, name)
            )
            await stack.enter_async_context(client)
            # No two say the same at a time.
            first = index * len(payloads) // count
            group.create_task(_speak(client, [*payloads[first:], *payloads[:first]]))


async def _speak(client: WhipClient, payloads: Sequence[bytes]) -> None:
    while True:
        await client.play(payloads)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("room")
    parser.add_argument("count", type=int)
    parser.add_argument("--beeps", action="store_true")
    given = parser.parse_args()
    asyncio.run(publish(given.url, given.room, given.count, beeping=given.beeps))


if __name__ == "__main__":
    main()
