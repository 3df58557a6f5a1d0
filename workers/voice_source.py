"""A voice that comes by WHIP: the receive path after the Opus packets, as the owner's source."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import BLOCK
from pipeline.voice.packet import VoicePacket
from pipeline.voice.receiver import VoiceReceiver

_GAUGES: Final = ("delay", "target")


class VoiceSource:
    """Packets in, blocks of `channels` float32 channels out. What is pulled is decoded then."""

    def __init__(self, channels: int, block: int = BLOCK) -> None:
        self.channels = channels
        self.finished = False
        # A browser that mutes itself sends silence or nothing, and does not say so.
        self.muted = False
        self._receiver = VoiceReceiver(channels, block)
        self._counted: dict[str, int] = {}

    @property
    def received(self) -> int:
        """Packets that arrived at all."""
        return self._receiver.stats.packets

    @property
    def ready(self) -> bool:
        """The next block has sound in it."""
        return self._receiver.ready

    @property
    def prompt(self) -> bool:
        """The next block is here. One that is silent may have its packets in the socket."""
        return self.finished or self._receiver.prompt

    @property
    def drained(self) -> bool:
        """The connection has ended, and what it had sent is played."""
        return self.finished and not self._receiver.ready

    @property
    def delay(self) -> int:
        """Samples from a packet's arrival to the pull of its first sample."""
        return self._receiver.stats.delay

    def push(self, packet: VoicePacket, now: int) -> None:
        """A packet that arrived at `now`. Raises BadOpus of a sender that sends nothing but garbage."""
        if not self.finished:
            self._receiver.push(packet, now)

    def pull(self, now: int, /) -> NDArray[np.float32] | None:
        """The block that is due at `now`, or None for silence."""
        return self._receiver.pull(now)

    def run(self, most: int) -> None:
        """A voice is decoded block by block."""

    def discard(self, now: int, /) -> None:
        """The block that is due at `now` is for nobody."""
        self._receiver.pull(now)

    def finish(self) -> None:
        """The connection has ended."""
        self.finished = True

    def counts(self) -> dict[str, int]:
        """Counters of packets, and how late it is heard (`delay`, `target`) in samples."""
        return dataclasses.asdict(self._receiver.stats)

    def fresh_counts(self) -> dict[str, int]:
        """How much each counter has grown since this was asked last."""
        counts = {name: count for name, count in self.counts().items() if name not in _GAUGES}
        fresh = {name: count - self._counted.get(name, 0) for name, count in counts.items()}
        self._counted = counts
        return fresh
