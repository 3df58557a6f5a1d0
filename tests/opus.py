"""Opus packets as a browser would send them, for tests of what receives them."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from pipeline.voice import opus

_RATE = 48_000
_VOIP = 2048
# Requests of opus_defines.h, each with the name that its documentation has.
_SET_BITRATE, _SET_COMPLEXITY, _SET_INBAND_FEC, _SET_PACKET_LOSS_PERC, _SET_DTX, _SET_FRAME_DURATION = (
    4002,
    4010,
    4012,
    4014,
    4016,
    4040,
)
_DURATIONS = {2.5: 5001, 5: 5002, 10: 5003, 20: 5004, 40: 5005, 60: 5006, 80: 5007, 100: 5008, 120: 5009}


def opus_packets(
    pcm: NDArray[np.int16],
    *,
    bit_rate: int = 32_000,
    frame_ms: float = 20,
    dtx: bool = False,
    fec: bool = True,
    effort: int = 9,
) -> list[bytes]:
    """`pcm` (s16 at 48 kHz, shape (n,) or (n, channels)) as one payload a frame; what fills none is cut off.

    Decoded, it comes 309 to 312 samples (6.5 ms) late: libopus looks ahead. With DTX most payloads of silence
    have 1 or 2 bytes, and a browser does not send those. `effort` is libopus's complexity, 0 to 10: browsers
    on computers take 9, which takes three times as long as 1.
    """
    sound = np.ascontiguousarray(pcm.reshape(len(pcm), -1))
    library, failure = opus._library(), ctypes.c_int()
    library.opus_encoder_create.restype = ctypes.c_void_p
    state = ctypes.c_void_p(
        library.opus_encoder_create(_RATE, sound.shape[1], _VOIP, ctypes.byref(failure)),
    )
    for request, value in (
        (_SET_BITRATE, bit_rate),
        (_SET_COMPLEXITY, effort),
        (_SET_INBAND_FEC, int(fec)),
        (_SET_PACKET_LOSS_PERC, 20 if fec else 0),
        (_SET_DTX, int(dtx)),
        (_SET_FRAME_DURATION, _DURATIONS[frame_ms]),
    ):
        assert library.opus_encoder_ctl(state, request, ctypes.c_int(value)) == 0
    size = round(frame_ms * _RATE / 1000)
    packet = ctypes.create_string_buffer(4000)
    payloads = []
    for start in range(0, len(sound) - size + 1, size):
        samples = ctypes.c_void_p(sound[start:].ctypes.data)
        count = library.opus_encode(state, samples, size, packet, len(packet))
        assert count > 0
        payloads.append(packet.raw[:count])
    library.opus_encoder_destroy(state)
    return payloads
