"""What a decoder must know: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) in `esds` (14496-14, 5.6)."""

from __future__ import annotations

from typing import Final

from pipeline.boxes.box import full_box

_AAC_LC: Final = 2
_INDEX_48000: Final = 3
# 1.6.6.2, backward compatible signalling: syncExtensionType 0x2b7, object type 5 (SBR), sbrPresentFlag 0.
# It says outright that no SBR hides in the stream, so no decoder opens at twice the rate to find out.
_NO_SBR: Final = (0x2B7 << 13 | 5 << 8).to_bytes(3, "big")
_ES_DESCRIPTOR, _DECODER_CONFIG, _DECODER_SPECIFIC, _SL_CONFIG = 3, 4, 5, 6  # 14496-1, 7.2.2.1, table 1
# 6144 bits a frame and channel is what the standard allows a frame to hold (14496-3, 4.5.3.1).
_BUFFER_PER_CHANNEL: Final = 768


def audio_specific_config(channels: int) -> bytes:
    """AudioSpecificConfig of AAC-LC at 48 kHz, mono or stereo; equal to the encoder's `extradata`."""
    # 5 bits of object type, 4 of frequency index, 4 of channel configuration, 3 of GASpecificConfig (all 0).
    return (_AAC_LC << 11 | _INDEX_48000 << 7 | channels << 3).to_bytes(2, "big") + _NO_SBR


def esds(channels: int, average: int, peak: int) -> bytes:
    """The `esds` box: bits a second on average, and at most in any one second."""
    decoder_config = _descriptor(
        _DECODER_CONFIG,
        b"\x40\x15",  # objectTypeIndication: ISO/IEC 14496-3; streamType: audio, upStream 0, reserved 1
        (_BUFFER_PER_CHANNEL * channels).to_bytes(3, "big"),
        peak.to_bytes(4, "big"),
        average.to_bytes(4, "big"),
        _descriptor(_DECODER_SPECIFIC, audio_specific_config(channels)),
    )
    # ES_ID is 0 in a file (14496-14, 3.1.2), no flags; SL packet header: predefined 2, for MP4 files.
    stream = _descriptor(_ES_DESCRIPTOR, b"\x00\x00\x00", decoder_config, _descriptor(_SL_CONFIG, b"\x02"))
    return full_box(b"esds", 0, 0, stream)


def _descriptor(tag: int, *payload: bytes) -> bytes:
    # Sizes under 128 take one byte (14496-1, 8.3.3); none here is longer.
    body = b"".join(payload)
    return bytes((tag, len(body))) + body
