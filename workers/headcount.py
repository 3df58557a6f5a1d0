"""Looks after those who are connected: who is still there, who has to go and why, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import structlog

from contracts.errors import LongwaveError, SenderTimeout
from contracts.metrics import Metrics
from pipeline.grid import SAMPLE_RATE
from workers.owner import TakeOwner
from workers.speaker import PcmSpeaker, Speaker, VoiceSpeaker

log = structlog.get_logger()

_SECOND_NS: Final = 1_000_000_000
# Counters of a voice's receiver: packets, and samples.
_OUTCOMES: Final = ("packets", "lost", "recovered", "late", "duplicate", "invalid")
_FATES: Final = ("concealed", "cut", "skipped")


class Headcount:
    """Timeouts are in seconds: for a sender of PCM, and for a voice that gave a sign of life before."""

    def __init__(self, metrics: Metrics, sender_timeout: float, voice_timeout: float) -> None:
        self._metrics = metrics
        self._sender_timeout = sender_timeout
        self._voice_timeout = voice_timeout

    def check_alive(self, speaker: Speaker[Any], now_ns: int) -> None:
        """Close a connection whose other end has vanished."""
        if isinstance(speaker, PcmSpeaker):
            timeout = self._sender_timeout
            if speaker.waits_for_room or speaker.source.muted:
                speaker.heard_ns = now_ns
        else:
            timeout = self._voice_timeout
        if speaker.heard_ns is not None and now_ns - speaker.heard_ns >= timeout * _SECOND_NS:
            error = SenderTimeout(f"nothing arrived for {timeout:g} seconds: send silence, or connect again")
            self.drop(speaker, "timeout", error)

    def drop(self, speaker: Speaker[Any], reason: str, error: LongwaveError) -> None:
        """Close a connection for `reason`, said in the log and the metrics; once."""
        if speaker.closed is None:
            speaker.close(error)
            self._metrics.speakers_dropped.labels(reason).inc()
            log.info(
                "speaker dropped", room=speaker.room, speaker=speaker.name, reason=reason, why=error.message
            )

    def drop_broken(self, speaker: Speaker[Any], error: Exception) -> None:
        """Close a connection whose sound we failed at; the room goes on."""
        log.error("speaker failed", room=speaker.room, speaker=speaker.name, exc_info=error)
        self._metrics.unexpected_errors.labels("speaker").inc()
        self.drop(speaker, "error", LongwaveError("an error of this server's own: connect again"))

    def count(self, owner: TakeOwner, speakers: Iterable[Speaker[Any]]) -> None:
        """Add up what a take and its voices did since this was said last."""
        self._metrics.samples.labels("sound").inc(owner.sound)
        self._metrics.samples.labels("silence").inc(owner.silence)
        owner.sound = owner.silence = 0
        for speaker in speakers:
            if isinstance(speaker, VoiceSpeaker):
                self._count_packets(speaker)
                # The mixer keeps one block back.
                delay = speaker.source.delay + owner.clock.block
                self._metrics.speaker_delay.observe(delay / SAMPLE_RATE)

    def leave(self, speaker: Speaker[Any]) -> None:
        """The connection is gone."""
        self._metrics.speakers.dec()
        if isinstance(speaker, PcmSpeaker):
            self._metrics.late_samples.inc(speaker.source.dropped)
        elif isinstance(speaker, VoiceSpeaker):
            self._count_packets(speaker)

    def _count_packets(self, speaker: VoiceSpeaker) -> None:
        fresh = speaker.source.fresh_counts()
        for outcome in _OUTCOMES:
            self._metrics.voice_packets.labels(outcome).inc(fresh[outcome])
        for fate in _FATES:
            self._metrics.voice_samples.labels(fate).inc(fresh[fate])
