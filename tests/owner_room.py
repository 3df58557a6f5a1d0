"""The owner of a take and its speakers, in virtual time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.access import Grant
from contracts.take import TakeHeader, TakeKey, TakeSettings
from pipeline.mix.sound import AS_IT_IS, Sound
from pipeline.mix.strip import Strip
from workers.guest_list import HostOrders
from workers.intake import READ_AHEAD, Intake
from workers.memory_bus import MemoryTakeBus
from workers.owner import Before, TakeOwner
from workers.speaker import PcmSpeaker
from workers.take_clock import TakeClock, real_samples

BLOCK = 960
TICK = 20_000_000
ZERO = 5_000_000_000
KEY = TakeKey("room", "20260131T200000Z-abc234")
LOUD = 8000


def square(value: int, samples: int, channels: int = 1) -> NDArray[np.int16]:
    """1 kHz that swings between `value` and its negative: any piece of it tells who it was."""
    signs = np.where(np.arange(samples) // 24 % 2, -1, 1)
    return np.repeat((signs * value).astype("<i2")[:, None], channels, axis=1)


class Room:
    """An owner and its clock; every speaker says a number of its own, so that one hears who it was."""

    def __init__(
        self,
        channels: int = 1,
        first: int = 0,
        now: int = ZERO,
        *,
        named: bool = False,
        orders: HostOrders | None = None,
    ) -> None:
        header = TakeHeader(0, TakeSettings(channels=channels), "f")
        self.bus = MemoryTakeBus(KEY, header, first)
        self.owner = TakeOwner(self.bus, TakeClock(ZERO), now, Before(named, orders or HostOrders()))
        self.now = now

    def speaker(
        self, name: str | None = None, channels: int = 1, sound: Sound = AS_IT_IS, token: str | None = None
    ) -> PcmSpeaker:
        wanted = self.bus.header.settings.channels
        grant = Grant("speaker", "room", name, token)
        source, strip = Intake(channels, BLOCK, wanted), Strip(wanted, sound, BLOCK)
        return PcmSpeaker("room", name, "pcm", grant, source, strip)

    def say(self, speaker: PcmSpeaker, value: int, samples: int) -> None:
        pcm = square(value, samples, speaker.intake.channels)
        speaker.feed(pcm.tobytes(), real_samples(self.now))

    def joined(self, name: str | None, value: int, samples: int = READ_AHEAD, **more: str) -> PcmSpeaker:
        """Somebody who is there and has sent that much."""
        speaker = self.speaker(name, **more)  # type: ignore[arg-type]
        self.owner.join(speaker)
        self.say(speaker, value, samples)
        return speaker

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += TICK
            self.owner.tick(self.now)

    def said(self) -> list[tuple[int, tuple[str, ...]]]:
        """(block, names) of what listeners are told of the speakers."""
        events = self.bus.events_from(0)
        return [(event.sample // BLOCK, event.speakers) for event in events if event.kind == "speakers"]

    def story(self) -> list[tuple[int, str, str]]:
        """(block, what, who) of all else that was told."""
        events = self.bus.events_from(0)
        told = [event for event in events if event.kind != "speakers"]
        return [(event.sample // BLOCK, event.kind, "".join(event.speakers) or event.title) for event in told]

    def heard(self) -> list[tuple[int, int]]:
        """(value, blocks) of everything on the bus, neighbours together."""
        runs: list[tuple[int, int]] = []
        for start in range(self.bus.first, self.bus.top, BLOCK):
            value = int(self.bus.read(start, start + BLOCK).max())
            if runs and runs[-1][0] == value:
                runs[-1] = (value, runs[-1][1] + 1)
            else:
                runs.append((value, 1))
        return runs
