"""A voice's packets, made sound when it is due: decoded, filled in, and kept in step with the take's clock.

::

              a packet is due
    RESTING ───────────────────▶ PLAYING
       ▲                            │
       └── 100 ms without any, ─────┘
           or the encoder says that it is silent

Nothing is decoded before it is needed. While packets follow one another they are played as they come, and
when one is late, sound is made up and the voice's time stands still: late is not lost. So the voice may fall
behind its target, and there are three ways back. Clocks that differ, and a few milliseconds, are made up by
reading a little faster or slower; more is spliced out of what is said (`shorten`) while more packets wait
than the target asks for; and what is later than a second is skipped.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import SAMPLE_RATE
from pipeline.voice.delay import DelayEstimator
from pipeline.voice.fader import Fader
from pipeline.voice.health import Health
from pipeline.voice.opus import GRAIN, BadOpus, OpusDecoder, carries_fec
from pipeline.voice.pace import CatchUp, Pace
from pipeline.voice.packet_queue import PacketQueue, Waiting
from pipeline.voice.resampler import REACH, Resampler
from pipeline.voice.stats import VoiceStats

_MADE_UP: Final = 480
"""Samples that are made up at a time: 10 ms."""
_LONGEST_LOSS: Final = 4_800
"""After 100 ms a made-up voice is silent; libopus lets it fade before."""
_LOOK_AHEAD: Final = 312
"""Samples that come out of a new decoder before the sound does: libopus's encoder looks so far ahead.

Whoever begins in the middle of a word begins with a step, and it lies behind them: the fade must not be over.
"""
_FADE: Final = 240
"""Samples over which a voice comes and goes where its sound does not do so by itself: 5 ms."""
_EARLY: Final = 480
"""A missing packet that is due only in more than 10 ms may still come."""
_HOPELESS: Final = SAMPLE_RATE


class Playout:
    """Takes packets out of `packets` by the times that `arrivals` gives. Sound is float32, (n, channels)."""

    def __init__(
        self, channels: int, packets: PacketQueue, arrivals: DelayEstimator, stats: VoiceStats, health: Health
    ) -> None:
        self.playing = False
        self._channels = channels
        self._packets = packets
        self._arrivals = arrivals
        self._stats = stats
        self._health = health
        self._decoder = OpusDecoder(channels)
        self._ahead = _LOOK_AHEAD
        self._resampler = Resampler(channels)
        self._fader = Fader()
        self._pace = Pace()
        self._catch_up = CatchUp()
        self._stream = 0
        self._position = 0  # in the sender's time: everything before it went to the resampler
        self._made_up = 0  # samples since, that do not count as the sender's time

    @property
    def sounding(self) -> bool:
        """There is sound that was begun and is not yet pulled."""
        return self.playing or self._resampler.held > 0

    def due_by(self, now: int) -> bool:
        """A packet waits whose first sample is to be played before `now`."""
        first = self._packets.first
        return first is not None and self._arrivals.due(first.start) < now

    def whole(self, block: int) -> bool:
        """The next `block` samples are here: nothing in them would have to be made up."""
        available = self._resampler.available()
        return available >= block or (self._packets.next_is_here and self._packets.held + available >= block)

    def pass_over_silence(self) -> None:
        """While nothing is played, take out what an encoder sends while there is nothing to say.

        In DTX that is an empty packet, and now and then one of background noise with an empty one after it.
        """
        while not self.playing and (first := self._packets.first):
            second = self._packets.second
            if not first.silent and not (second and second.silent):
                return
            self._pop()

    def pull(self, now: int, block: int) -> NDArray[np.float32] | None:
        """The `block` samples that are due at `now`, or None for silence."""
        self.pass_over_silence()
        if not self.playing and self.due_by(now + self._resampler.held + block):
            self._begin(now + self._resampler.held)
        if not self.sounding:
            return None
        if self.playing and not self._made_up:
            late = now + self._resampler.held - self._arrivals.due(self._position)
            self._resampler.ratio = self._pace.ratio(late, block)
        while self.playing and self._resampler.available() < block:
            self._go_on(now + self._resampler.held)
        if self._resampler.available() >= block:
            return self._resampler.pull(block)
        self._resampler.push(np.zeros((block + 2 * REACH, self._channels), np.float32))
        last = self._resampler.pull(block)
        self._resampler = Resampler(self._channels)
        return last

    def _begin(self, at: int) -> None:
        """Out of silence: the first packet's first sample is played when it is due, or at once."""
        first = self._packets.first
        if first is None:
            return
        early = max(0, self._arrivals.due(first.start) - at)
        self._resampler.push(np.zeros((early, self._channels), np.float32))
        self._lose(first.order - self._packets.next)
        self._packets.next = first.order
        self._position, self._made_up, self.playing = first.start, 0, True

    def _go_on(self, at: int) -> None:
        """Push the sound that is to be played at `at`."""
        first = self._packets.first
        if first is None:
            self._make_up()
            return
        late = at - self._arrivals.due(first.start)
        if self._surplus(first, late) > _HOPELESS:
            self._skip(at)
        elif first.order > self._packets.next:
            self._fill(first, late)
        elif first.start - self._position < GRAIN or late >= 0:
            self._play(self._pop(), at)
        else:
            self._make_up()  # the sender pauses

    def _fill(self, first: Waiting, late: int) -> None:
        """Packets before `first` are missing: wait for them while there is time, then do without."""
        gap = first.start - self._position
        missing = gap - self._made_up
        may_come = late + gap < -_EARLY
        beyond_fec = self._made_up > 0 or gap > _LONGEST_LOSS
        if missing > 0 and late < 0 and (may_come or beyond_fec):
            self._make_up()
        else:
            if 0 < missing <= _LONGEST_LOSS and not self._made_up:
                self._recover(first, -(-missing // GRAIN) * GRAIN)
            self._lose(first.order - self._packets.next)
            self._packets.next, self._position = first.order, first.start

    def _recover(self, first: Waiting, missing: int) -> None:
        """The last lost packet is in the FEC of the one after it; the others are concealed."""
        recovered = min(missing, first.samples) if carries_fec(first.payload) else 0
        try:
            self._push(self._decoder.recover(first.payload, missing))
        except BadOpus:
            recovered = 0
            self._push(self._decoder.conceal(missing))
        self._stats.recovered += bool(recovered)
        self._stats.concealed += missing - recovered

    def _make_up(self) -> None:
        """More of the same for want of a packet, until it fades away; the voice's time stands still."""
        self._made_up += _MADE_UP
        level = self._fader.level if self._made_up < _LONGEST_LOSS else 0.0
        self._resampler.push(self._fader.move(self._decoder.conceal(_MADE_UP), level, _MADE_UP))
        self.playing = level > 0

    def _fade_out(self) -> None:
        """What was said ends here, softly."""
        self._resampler.push(self._fader.move(self._decoder.conceal(_FADE), 0.0, _FADE))

    def _play(self, packet: Waiting, at: int) -> None:
        if packet.silent:
            self._fade_out()
            self.playing = False
            return
        if packet.stream != self._stream:
            self._fade_out()
            self._decoder, self._stream = OpusDecoder(self._channels), packet.stream
            self._ahead = _LOOK_AHEAD
        self._stats.delay = max(0, at - packet.arrived)
        surplus = self._surplus(packet, at - self._arrivals.due(packet.start))
        pcm = self._decode(packet)
        if self._catch_up.wanted(surplus):
            pcm = self._shorter(pcm, packet, surplus)
        self._push(pcm)

    def _shorter(self, pcm: NDArray[np.float32], packet: Waiting, surplus: int) -> NDArray[np.float32]:
        """`pcm` with the packet that follows, if any, less what can be cut out unheard."""
        first = self._packets.first
        if first is not None and len(pcm) < CatchUp.ENOUGH and first.goes_on_from(packet):
            pcm = np.concatenate((pcm, self._decode(self._pop())))
        shorter = self._catch_up.cut(pcm, surplus)
        self._stats.cut += len(pcm) - len(shorter)
        return shorter

    def _decode(self, packet: Waiting) -> NDArray[np.float32]:
        self._stats.concealed += self._made_up
        self._position, self._made_up = packet.end, 0
        try:
            return self._decoder.decode(packet.payload)
        except BadOpus:
            self._health.note(good=False)
            self._stats.invalid += 1
            self._stats.concealed += packet.samples
            return self._decoder.conceal(packet.samples)

    def _push(self, pcm: NDArray[np.float32]) -> None:
        ahead = min(self._ahead, len(pcm))
        if ahead:
            self._ahead -= ahead
            self._resampler.push(np.zeros_like(pcm[:ahead]))
            pcm = pcm[ahead:]
        if len(pcm):
            self._come(pcm)

    def _come(self, pcm: NDArray[np.float32]) -> None:
        """At full level from here on, or as soon as it has risen to it."""
        self._resampler.push(self._fader.move(pcm, 1.0, _FADE))

    def _surplus(self, packet: Waiting, late: int) -> int:
        """Samples that `packet` is late by, as far as more are waiting, with it, than the target asks for."""
        return min(late, max(packet.end, self._packets.end) - packet.start - self._arrivals.target)

    def _skip(self, at: int) -> None:
        """The voice is later than a second: what is late is dropped."""
        self._fade_out()
        first = self._packets.first
        while first is not None and self._surplus(first, at - self._arrivals.due(first.start)) > 0:
            self._stats.skipped += self._pop().samples
            first = self._packets.first
        if first is not None:
            self._lose(first.order - self._packets.next)
            self._packets.next, self._position, self._made_up = first.order, first.start, 0

    def _pop(self) -> Waiting:
        before = self._packets.next
        packet = self._packets.pop()
        self._lose(packet.order - before)
        return packet

    def _lose(self, packets: int) -> None:
        self._stats.lost += packets
