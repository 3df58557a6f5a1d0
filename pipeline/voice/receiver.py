"""One speaker's receive path after the Opus packets: packets in as they come, blocks out on the clock."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import BLOCK, SAMPLE_RATE
from pipeline.voice.delay import DelayEstimator
from pipeline.voice.health import Health
from pipeline.voice.opus import BadOpus, samples_of
from pipeline.voice.packet import VoicePacket
from pipeline.voice.packet_queue import Fate, PacketQueue, Waiting
from pipeline.voice.playout import Playout
from pipeline.voice.stats import VoiceStats
from pipeline.voice.timeline import Timeline

_MARGIN: Final = 240
_UNPUNCTUAL: Final = 960
"""Blocks that are pulled so much too late are pulled late by a busy process, as its packets are read late."""
_UNATTENDED: Final = 5 * SAMPLE_RATE
"""A voice that nobody pulls for so long is not late for anybody."""


class VoiceReceiver:
    """One voice, as blocks of `block` samples of `channels` float32 channels (full scale 1.0).

    `now` is local monotonic time in samples, the same for both methods. After a stall of the process push
    what waits in the socket before the blocks that were missed are pulled: then nothing is lost by it.
    """

    def __init__(self, channels: int, block: int = BLOCK) -> None:
        self.stats = VoiceStats()
        self._block = block
        self._timeline = Timeline()
        self._arrivals = DelayEstimator(block + _MARGIN)
        self._packets = PacketQueue()
        self._health = Health()
        self._playout = Playout(channels, self._packets, self._arrivals, self.stats, self._health)
        self._pushed = 0
        self._due: int | None = None

    @property
    def ready(self) -> bool:
        """The next block has sound in it."""
        latest = self._pushed if self._due is None else max(self._pushed, self._due)
        return self._playout.sounding or self._playout.due_by(latest + 1)

    @property
    def prompt(self) -> bool:
        """The next block is whole here: waiting for more packets would not change it."""
        return self._playout.whole(self._block)

    def push(self, packet: VoicePacket, now: int) -> None:
        """Take in a packet that was read at `now`.

        One that is no Opus is counted and concealed. Raises BadOpus when most of the last 50 were none, for
        a second or longer.
        """
        self._pushed = now
        self.stats.packets += 1
        try:
            samples = samples_of(packet.payload)
        except BadOpus:
            self.stats.invalid += 1
            self._health.note(good=False)
        else:
            self._health.note(good=True)
            self._take(packet, samples, now)
        if self._health.hopeless(now):
            raise BadOpus("most of what is sent is not Opus")

    def pull(self, now: int) -> NDArray[np.float32] | None:
        """The block that is due at `now`, (block, channels), or None for silence. Once for every block."""
        self._due = now + self._block
        return self._playout.pull(now, self._block)

    def _take(self, packet: VoicePacket, samples: int, now: int) -> None:
        stood = self._stood_still(now)
        place = self._timeline.place(packet, samples, now, self._arrivals, excused=stood)
        self.stats.jumps = self._timeline.jumps
        if place is None:
            self.stats.late += 1
            return
        waiting = Waiting(place.order, place.start, samples, place.stream, now, packet.payload)
        fate = self._packets.put(waiting)
        self.stats.duplicate += fate is Fate.DUPLICATE
        self.stats.late += fate is Fate.LATE
        if fate is not Fate.DUPLICATE and not self._excused(now - place.start, stood):
            self._arrivals.observe(place.start, samples, now)
            self.stats.target = self._arrivals.target
        self._playout.pass_over_silence()
        while self._packets.overfull():
            self.stats.skipped += self._packets.pop().samples

    def _stood_still(self, now: int) -> int:
        """How long nobody has pulled who should have: the process was busy, and read its packets late."""
        late = 0 if self._due is None else now - self._due
        return late if _UNPUNCTUAL < late < _UNATTENDED else 0

    def _excused(self, offset: int, stood: int) -> bool:
        """A packet that was read late tells of the network only if it came sooner than any."""
        base = self._arrivals.base
        return stood > 0 and base is not None and base <= offset <= base + self._arrivals.target + stood
