"""One RTP packet of a voice, as far as the receive path needs it (RFC 3550 5.1, RFC 7587 4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VoicePacket:
    """`sequence` (16 bits), `timestamp` (32 bits; Opus counts 48 kHz), `ssrc` (32 bits), one Opus packet."""

    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
