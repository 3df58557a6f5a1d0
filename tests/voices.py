"""Voices on a bad network, in virtual time: a sender, what becomes of its packets, and what is heard of them.

All times are samples at 48 kHz. A sender's packets are `Sent`; a `Network` makes `Arrival`s of them, and
`hear` pulls a receiver through them block by block::

    sent = spoken(opus_packets(pcm), ppm=200)
    heard = hear(Network(jitter=1920, loss=0.05, seed=1).carry(sent))
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.voice.opus import samples_of
from pipeline.voice.packet import VoicePacket
from pipeline.voice.receiver import VoiceReceiver
from pipeline.voice.stats import VoiceStats

MS = 48
SECOND = 48_000
CODEC_DELAY = 312
"""Samples that sound is late by the Opus encoder's look-ahead alone."""


class Sent(NamedTuple):
    """A packet, and the instant at which it left."""

    at: int
    packet: VoicePacket


class Arrival(NamedTuple):
    """A packet, and the instant at which it is read from the socket."""

    at: int
    packet: VoicePacket


def spoken(
    payloads: Iterable[bytes],
    *,
    at: int = SECOND,
    ppm: int = 0,
    sequence: int = 65_000,
    timestamp: int = 4_294_000_000,
    ssrc: int = 0x1234,
    dtx: bool = False,
) -> list[Sent]:
    """The packets of a sender that begins to speak at `at`: each leaves when its last sample was said.

    Its clock runs `ppm` fast. Sequence and timestamp are those of the first packet, and wrap. With `dtx` of
    the payloads that say that there is silence only the first of a run is sent, as browsers do.
    """
    sent, said, silent = [], 0, False
    for payload in payloads:
        length = samples_of(payload) if payload else 960
        was_silent, silent = silent, len(payload) <= 2
        if not (dtx and silent and was_silent):
            leaves = at + (said + length) * 1_000_000 // (1_000_000 + ppm)
            packet = VoicePacket(sequence & 0xFFFF, (timestamp + said) & 0xFFFFFFFF, ssrc, payload)
            sent.append(Sent(leaves, packet))
            sequence += 1
        said += length
    return sent


def changed(sent: Sequence[Sent], after: int, change: Callable[[VoicePacket], VoicePacket]) -> list[Sent]:
    """`sent`, with every packet that leaves at `after` or later changed."""
    return [one if one.at < after else Sent(one.at, change(one.packet)) for one in sent]


def leaping(*, sequence: int = 0, timestamp: int = 0, ssrc: int = 0) -> Callable[[VoicePacket], VoicePacket]:
    """A change that adds to a packet's numbers, for `changed`."""

    def leap(packet: VoicePacket) -> VoicePacket:
        return replace(
            packet,
            sequence=(packet.sequence + sequence) & 0xFFFF,
            timestamp=(packet.timestamp + timestamp) & 0xFFFFFFFF,
            ssrc=packet.ssrc + ssrc,
        )

    return leap


@dataclass(frozen=True)
class Stall:
    """Nothing arrives from `start` until `stop`; then all of it does at once."""

    start: int
    stop: int


@dataclass(frozen=True)
class Network:
    """What happens between the two: every packet takes `delay` and up to `jitter` more, in samples.

    `loss`, `duplicates` and `reordered` are shares of the packets; one that is reordered is overtaken by the
    next (`behind` samples later). Without jitter and reordering, packets arrive in order.
    """

    delay: int = 240
    jitter: int = 0
    loss: float = 0.0
    duplicates: float = 0.0
    reordered: float = 0.0
    behind: int = 1_200
    stalls: tuple[Stall, ...] = ()
    seed: int = 0

    def carry(self, sent: Iterable[Sent]) -> list[Arrival]:
        """When each packet arrives, in that order."""
        rng = np.random.default_rng(self.seed)
        arrivals = []
        for at, packet in sent:
            lost, doubled, overtaken = rng.random(3) < (self.loss, self.duplicates, self.reordered)
            arrives = at + self.delay + int(rng.integers(0, self.jitter + 1)) + overtaken * self.behind
            for stall in self.stalls:
                arrives = stall.stop if stall.start <= arrives < stall.stop else arrives
            if not lost:
                arrivals += [Arrival(int(arrives), packet)] * (2 if doubled else 1)
        return sorted(arrivals, key=attrgetter("at"))


@dataclass(frozen=True)
class Heard:
    """What was pulled from `start` on. `sound` is (n, channels), with zeros where a block was None.

    `silent` holds the blocks that were None, (blocks,); `delay` and `target` the gauges after each block.
    """

    start: int
    block: int
    sound: NDArray[np.float32]
    silent: NDArray[np.bool_]
    delay: NDArray[np.int64]
    target: NDArray[np.int64]
    stats: VoiceStats

    def between(self, start: int, stop: int) -> NDArray[np.float32]:
        """The first channel from instant `start` to `stop`."""
        return self.sound[start - self.start : stop - self.start, 0]

    def delay_between(self, start: int, stop: int) -> NDArray[np.int64]:
        """The delays in blocks from instant `start` to `stop`."""
        return self.delay[(start - self.start) // self.block : (stop - self.start) // self.block]

    def silent_between(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Which blocks from instant `start` to `stop` were None."""
        return self.silent[(start - self.start) // self.block : (stop - self.start) // self.block]


def hear(
    arrivals: Iterable[Arrival],
    *,
    until: int,
    start: int = 0,
    channels: int = 1,
    block: int = 240,
    standing: tuple[Stall, ...] = (),
) -> Heard:
    """Push `arrivals`, which are in order, and pull from `start` to `until`.

    While the process is `standing` it does neither; then it reads first, and pulls everything that it missed.
    """
    receiver = VoiceReceiver(channels, block)
    coming = deque(arrivals)
    blocks, delay, target = [], [], []
    for due in range(start, until, block):
        now = _stood_until(due, standing)
        while coming and coming[0].at <= now:
            at, packet = coming.popleft()
            receiver.push(packet, _stood_until(at, standing))
        blocks.append(receiver.pull(due))
        delay.append(receiver.stats.delay)
        target.append(receiver.stats.target)
    zeros = np.zeros((block, channels), np.float32)
    sound = np.concatenate([zeros if one is None else one for one in blocks])
    silent = np.array([one is None for one in blocks])
    return Heard(start, block, sound, silent, np.array(delay), np.array(target), receiver.stats)


def _stood_until(at: int, standing: tuple[Stall, ...]) -> int:
    """When a process that is `standing` comes to what is to be done at `at`."""
    return next((stall.stop for stall in standing if stall.start <= at < stall.stop), at)
