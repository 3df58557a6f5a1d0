"""The RTP packets of a voice, taken apart (RFC 3550 5.1). Garbage is no error: it is no packet."""

from __future__ import annotations

import struct
from typing import Final

from pipeline.voice.packet import VoicePacket

_FIXED: Final = struct.Struct("!BBHII")
_VERSION: Final = 2
_PADDING: Final = 0x20
_EXTENSION: Final = 0x10


def read_rtp(data: bytes, payload_type: int) -> VoicePacket | None:
    """The packet, if it is whole and carries `payload_type`; its header extensions are nothing to a voice."""
    if len(data) < _FIXED.size:
        return None
    flags, kind, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if flags >> 6 != _VERSION or kind & 0x7F != payload_type:
        return None
    start = _FIXED.size + 4 * (flags & 0x0F)
    if flags & _EXTENSION:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    end = len(data) - (data[-1] if flags & _PADDING else 0)
    # Nothing but padding: a probe of the line, not a frame.
    return VoicePacket(sequence, timestamp, ssrc, data[start:end]) if start < end else None
