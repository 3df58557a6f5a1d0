"""How well a stream of RTP arrives: the statistics of RFC 3550 A.1, A.3 and A.8.

A browser turns Opus' error correction on by the loss that is reported to it, so the reports have to be right.
Time is an argument: samples of 48 kHz for arrivals (RTP's clock for Opus), so that jitter is in its units.
"""

from __future__ import annotations

from typing import Final

from workers.whip.rtcp import ReportBlock

_SEQUENCES: Final = 2**16
# RFC 3550 A.1: more than a minute's jump is a sender that began anew, not a loss.
_MAX_DROPOUT: Final = 3000
_SAMPLE_RATE: Final = 48_000
# 6.4.1: the delay since the last sender report is in 1/65536 seconds.
_DELAY_UNITS: Final = 65_536


class Reception:
    """Of one source, `ssrc`."""

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self._first: int | None = None
        self._highest = 0
        self._received = 0
        self._transit: int | None = None
        self._jitter_16 = 0
        self._reported = (0, 0)
        self._sender_report: tuple[int, int] | None = None

    def add(self, sequence: int, timestamp: int, now: int) -> None:
        """A packet that arrived at `now`."""
        ahead = (sequence - self._highest) % _SEQUENCES
        if self._first is None or _MAX_DROPOUT <= ahead < _SEQUENCES - _MAX_DROPOUT:
            self._first = self._highest = sequence
            self._received, self._reported = 0, (0, 0)
        elif ahead < _MAX_DROPOUT:
            self._highest += ahead
        self._received += 1
        self._measure(timestamp, now)

    def sent(self, ntp: int, now: int) -> None:
        """A sender report with the time stamp `ntp` (its middle 32 bits) arrived at `now`."""
        self._sender_report = (ntp, now)

    def report(self, now: int) -> ReportBlock | None:
        """What to tell the sender at `now`; None before its first packet."""
        if self._first is None:
            return None
        expected = self._highest - self._first + 1
        was_expected, was_received = self._reported
        self._reported = expected, self._received
        recent = expected - was_expected
        missing = recent - (self._received - was_received)
        ntp, at = self._sender_report or (0, now)
        return ReportBlock(
            ssrc=self.ssrc,
            fraction=(missing << 8) // recent if recent > 0 and missing > 0 else 0,
            lost=expected - self._received,
            highest=self._highest,
            jitter=self._jitter_16 >> 4,
            last_report=ntp,
            delay=(now - at) * _DELAY_UNITS // _SAMPLE_RATE,
        )

    def _measure(self, timestamp: int, now: int) -> None:
        """A.8: the difference of transit times, smoothed by 1/16, modulo the 32 bits of a time stamp."""
        transit = (now - timestamp) & 0xFFFFFFFF
        if self._transit is not None:
            apart = (transit - self._transit) & 0xFFFFFFFF
            apart = min(apart, 2**32 - apart)
            # A second between two packets is a jump of the sender's clock or a pause, and no jitter.
            if apart < _SAMPLE_RATE:
                self._jitter_16 += apart - (self._jitter_16 + 8 >> 4)
        self._transit = transit
