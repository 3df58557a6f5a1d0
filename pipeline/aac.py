"""AAC-LC segments: a fresh encoder for each, so that the bytes depend on nothing but PCM and settings.

The encoder is libavcodec's native one with the `fast` coder: three times as fast as `twoloop`, and the better
one on speech; and without temporal noise shaping, which clicks. Each segment's encoder is fed the 4 frames
before the segment, whose output is thrown away, the segment itself and the 2 frames after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import av
from av.audio.frame import AudioFrame

from pipeline.grid import (
    FRAME,
    LOOKAHEAD_FRAMES,
    PREROLL_FRAMES,
    SAMPLE_RATE,
    first_frame,
    frame_count,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream
    from av.packet import Packet

    from pipeline.pcm import Planes

_FORMAT: Final = av.AudioFormat("fltp")
_LAYOUTS: Final = {1: av.AudioLayout("mono"), 2: av.AudioLayout("stereo")}
CODEC_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({"aac_coder": "fast", "aac_tns": "0"})
"""libavcodec's temporal noise shaping makes clicks where speech sets in, up to 0.07 of full scale far above
the voice. Without it there are none (docs/decisions/0010)."""


def fed_frames(msn: int) -> range:
    """The frames that the encoder of segment `msn` is fed: 4 before it, its own, 2 after it."""
    start = first_frame(msn)
    return range(start - PREROLL_FRAMES, start + frame_count(msn) + LOOKAHEAD_FRAMES)


class SegmentEncoder:
    """Encodes segment `msn` at one bit rate. It is fed the frames of `fed_frames(msn)` in order."""

    def __init__(self, msn: int, channels: int, bit_rate: int) -> None:
        codec = _open(channels, bit_rate)
        # encode() puts a filter graph before the encoder, to cut frames to size: 0.7 ms and a thread a core,
        # for every segment of every rendition. These frames are cut already, so they go in by the door behind
        # it. Should a later PyAV rename that, encode() gives the same bytes (a test compares the two).
        self._send: Callable[[AudioFrame], Iterable[Packet[AudioStream]]] = getattr(
            codec, "_send_frame_and_recv", codec.encode
        )
        self._frame = AudioFrame(_FORMAT, _LAYOUTS[channels], FRAME)
        self._frame.sample_rate = SAMPLE_RATE
        self._planes = self._frame.planes
        self._next = fed_frames(msn).start
        self._own = range(first_frame(msn), first_frame(msn + 1))

    def push(self, planes: Planes) -> list[bytes]:
        """Feed whole frames, shape (channels, 1024·k); the segment's access units that are now complete."""
        units: list[bytes] = []
        for start in range(0, planes.shape[1], FRAME):
            for plane, samples in zip(self._planes, planes, strict=True):
                plane.update(samples[start : start + FRAME])
            self._frame.pts = self._next * FRAME
            self._next += 1
            units.extend(bytes(packet) for packet in self._send(self._frame) if self._owns(packet))
        return units

    def _owns(self, packet: Packet[AudioStream]) -> bool:
        # libavcodec has taken its delay off already: pts is where the access unit's sound begins.
        return packet.pts is not None and packet.pts // FRAME in self._own


def _open(channels: int, bit_rate: int) -> AudioCodecContext:
    codec = av.CodecContext.create("aac", "w")
    codec.sample_rate = SAMPLE_RATE
    codec.layout = _LAYOUTS[channels]
    codec.format = _FORMAT
    codec.bit_rate = bit_rate
    codec.options = dict(CODEC_OPTIONS)
    codec.thread_count = 1
    codec.open()
    return codec
