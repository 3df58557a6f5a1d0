"""Opus packets as a browser would send them, for tests of what receives them."""

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

RATE = 48_000
LAYOUTS = {1: "mono", 2: "stereo"}


def opus_packets(
    pcm: NDArray[np.int16],
    *,
    bit_rate: int = 32_000,
    frame_ms: float = 20,
    dtx: bool = False,
    fec: bool = True,
) -> list[bytes]:
    """`pcm` (s16 at 48 kHz, shape (n,) or (n, channels)) as one payload a frame; what fills none is cut off.

    Decoded, it comes 309 to 312 samples (6.5 ms) late: libopus looks ahead. With DTX most payloads of silence
    have 1 or 2 bytes.
    """
    sound = pcm.reshape(len(pcm), -1)
    channels = sound.shape[1]
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format = RATE, LAYOUTS[channels], "s16"
    codec.bit_rate = bit_rate
    codec.options = {
        "application": "voip",
        "frame_duration": f"{frame_ms:g}",
        "fec": str(int(fec)),
        "packet_loss": "20" if fec else "0",
        "dtx": str(int(dtx)),
    }
    codec.open()
    size = round(frame_ms * RATE / 1000)
    payloads = []
    for start in range(0, len(sound) - size + 1, size):
        block = np.ascontiguousarray(sound[start : start + size]).reshape(1, -1)
        frame = AudioFrame.from_ndarray(block, format="s16", layout=LAYOUTS[channels])
        frame.sample_rate, frame.pts = RATE, start
        payloads += [bytes(packet) for packet in codec.encode(frame)]
    return payloads
