"""RTP's numbers made continuous: sequence and timestamp wrap, leap and start anew; a voice's time does not.

A packet gets an *order* (its sequence number, unwrapped) and a *start* (its first sample in the sender's
time, unwrapped). After a leap both go on where they were: at once where packets follow one another, by the
time of arrival after a pause. So RTP time that stood still while a browser was muted, or that ran on, comes
to the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline.grid import SAMPLE_RATE
from pipeline.voice.delay import DelayEstimator
from pipeline.voice.opus import LONGEST
from pipeline.voice.packet import VoicePacket

_MISORDERED: Final = 100
"""Sequence numbers that an old packet may lie back by (RFC 3550 A.1, MAX_MISORDER)."""
_DROPPED: Final = 3_000
"""Sequence numbers that may be missing at once (RFC 3550 A.1, MAX_DROPOUT)."""
_FAR: Final = SAMPLE_RATE
"""Nothing that arrives in time is ahead of it, or behind it, by a second."""
_PAUSE: Final = SAMPLE_RATE // 10
"""After so long without a packet the sender's time may have stood still."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a packet belongs. `stream` grows with every new source, which wants a decoder of its own."""

    order: int
    start: int
    stream: int


@dataclass(frozen=True, slots=True)
class _Newest:
    packet: VoicePacket
    place: Place
    end: int
    arrived: int


class Timeline:
    """One voice's time, from the packets of whatever sources it comes from."""

    def __init__(self) -> None:
        self.jumps = 0
        self._newest: _Newest | None = None
        self._former: int | None = None
        self._changed = 0

    def place(
        self, packet: VoicePacket, samples: int, now: int, arrivals: DelayEstimator, *, excused: int = 0
    ) -> Place | None:
        """Where `packet` of `samples`, which arrived at `now`, belongs; None: to a source that was replaced.

        `excused` is how much of its lateness may be the reader's own.
        """
        newest = self._newest
        if newest is None:
            place = Place(0, now, 0)
        elif packet.ssrc != newest.packet.ssrc:
            if packet.ssrc == self._former and now - self._changed < _PAUSE:
                return None
            self._former, self._changed = newest.packet.ssrc, now
            place = self._leap(newest, newest.place.stream + 1, now, arrivals)
        else:
            ahead = _signed(packet.sequence - newest.packet.sequence, 16)
            later = _signed(packet.timestamp - newest.packet.timestamp, 32)
            place = Place(newest.place.order + ahead, newest.place.start + later, newest.place.stream)
            if -_MISORDERED <= ahead <= 0 and -2 * _FAR <= later <= 0:
                return place
            sane = 0 < ahead <= _DROPPED and later > 0
            beyond = later > ahead * LONGEST  # more than the packets between can hold
            early, late = _out_of_time(place.start, newest, now, arrivals)
            if not sane or (early and beyond) or late > excused:
                place = self._leap(newest, newest.place.stream, now, arrivals)
        self._newest = _Newest(packet, place, place.start + samples, now)
        return place

    def _leap(self, newest: _Newest, stream: int, now: int, arrivals: DelayEstimator) -> Place:
        """The place of a packet whose own numbers tell nothing of it."""
        self.jumps += 1
        start = newest.end
        if now - newest.arrived >= _PAUSE:
            start = max(start, now - (arrivals.base or 0))
        return Place(newest.place.order + 1, start, stream)


def _out_of_time(start: int, newest: _Newest, now: int, arrivals: DelayEstimator) -> tuple[bool, int]:
    """Whether a packet that begins at `start` comes far too early, and by how much it comes too late."""
    offset = now - start - (arrivals.base or 0)
    paused = now - newest.arrived >= _PAUSE
    return offset < -_FAR, offset - (arrivals.target if paused else _FAR)


def _signed(difference: int, bits: int) -> int:
    """The shortest way round from one number of so many bits to another."""
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half
