"""Any audio file that PyAV can decode, and our own access units, as 48 kHz PCM without holes."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from contracts.errors import UndecodableFile
from pipeline.boxes.audio_config import audio_specific_config
from pipeline.grid import FRAME, SAMPLE_RATE
from pipeline.mix.samples import to_int16
from pipeline.pcm import silence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.audio.frame import AudioFrame
    from av.container import InputContainer

    from pipeline.pcm import Pcm

_CHUNK: Final = SAMPLE_RATE // 2
"""Samples that a chunk holds (the last before a hole or the end may hold fewer)."""
_LAYOUTS: Final = {1: "mono", 2: "stereo"}
# A damaged stretch shows as a jump in the timestamps, and silence takes its place, so that what follows keeps
# its time. Less than a few packets is rounding or jitter in the container (FLV, AVI); more than a minute is a
# clock that was set, not a hole.
_SMALLEST_HOLE: Final = Fraction(1, 20)
_LARGEST_HOLE: Final = 60
# Kinds of file that only name other files or hosts: a playlist without an end would be waited for, for ever.
_REFERRING: Final = frozenset({"applehttp", "concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp"})
_OPTIONS: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(av.formats_available - _REFERRING)),
}
# AV_TIME_BASE: a container's duration is in microseconds.
_CONTAINER_TICK: Final = Fraction(1, 1_000_000)


def decode_pcm(path: Path, channels: int) -> Iterator[Pcm]:
    """The file's best audio stream at 48 kHz, in chunks of shape (n, channels).

    Frames that cannot be decoded are left out, and replaced by silence where the timestamps after them tell
    how long they were. A file that is cut off gives what is there. Raises UndecodableFile.
    """
    with _open(path) as (container, stream):
        converter = _Converter(channels)
        end: Fraction | None = None
        for frame in _frames(container, stream):
            start = _start_of(frame)
            hole = start - end if start is not None and end is not None else Fraction(0)
            if _SMALLEST_HOLE <= hole <= _LARGEST_HOLE:
                yield from converter.flush()
                yield silence(round(hole * SAMPLE_RATE), channels)
            yield from converter.push(frame)
            end = start + Fraction(frame.samples, frame.sample_rate) if start is not None else None
        if converter.untouched:
            raise UndecodableFile(f"{path}: nothing in it could be decoded")
        yield from converter.flush()


def duration_samples(path: Path) -> int | None:
    """About how many samples `decode_pcm` will give, if the file says so. Raises UndecodableFile."""
    with _open(path) as (container, stream):
        if stream.duration is not None and stream.time_base is not None:
            return int(stream.duration * stream.time_base * SAMPLE_RATE)
        if container.duration is not None:
            return int(container.duration * _CONTAINER_TICK * SAMPLE_RATE)
    return None


class UnitDecoder:
    """Decodes AAC-LC access units at 48 kHz, as the encoder here makes them."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._codec = av.CodecContext.create("aac", "r")
        self._codec.extradata = audio_specific_config(channels)
        self._codec.thread_count = 1

    def push(self, units: Sequence[bytes]) -> Pcm:
        """The PCM (1024·n, channels) of the `n` access units that follow; zeros for one that is damaged.

        After a jump the first frame fades in, since half of it lies in the unit before.
        """
        pcm = silence(FRAME * len(units), self._channels)
        for n, unit in enumerate(units):
            try:
                frames = self._codec.decode(av.Packet(unit))
            except av.FFmpegError:
                continue
            if len(frames) == 1 and frames[0].samples == FRAME:
                pcm[n * FRAME : (n + 1) * FRAME] = to_int16(
                    frames[0].to_ndarray().T.astype(np.float32, copy=False)
                )
        return pcm


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, AudioStream]]:
    """The file and its best audio stream; any failure inside comes out as UndecodableFile."""
    if not path.exists():
        raise UndecodableFile(f"{path}: no such file")
    if path.is_dir():
        raise UndecodableFile(f"{path}: a directory, not an audio file")
    try:
        # As a file, whatever its name looks like.
        with av.open(f"file:{path}", options=_OPTIONS, metadata_errors="ignore") as container:
            stream = container.streams.best("audio")
            if not isinstance(stream, AudioStream):
                raise UndecodableFile(f"{path}: has no audio stream")
            yield container, stream
    except av.ArgumentError as error:
        raise UndecodableFile(f"{path}: not a kind of file that is read here") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UndecodableFile(f"{path}: cannot be decoded ({reason})") from error


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return  # cut off or unreadable from here on
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def _start_of(frame: AudioFrame) -> Fraction | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return frame.pts * frame.time_base


class _Converter:
    """Resamples frames to 48 kHz s16. A stream may change its format half way (recordings of radio)."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._resampler: AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None

    @property
    def untouched(self) -> bool:
        """Whether nothing was pushed yet."""
        return self._format is None

    def push(self, frame: AudioFrame) -> Iterator[Pcm]:
        """The chunks that are complete with `frame`."""
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._format:
            yield from self.flush()
        self._format = form
        resampler = self._resampler
        if resampler is None:
            resampler = AudioResampler("s16", _LAYOUTS[self._channels], SAMPLE_RATE, _CHUNK)
            self._resampler = resampler
        # Timestamps have done their work: the resampler shall join what it gets.
        frame.pts = None
        yield from self._chunks(resampler.resample(frame))

    def flush(self) -> Iterator[Pcm]:
        """What the resampler still holds; the next frame begins anew."""
        if self._resampler is not None:
            yield from self._chunks(self._resampler.resample(None))
        self._resampler = None

    def _chunks(self, frames: list[AudioFrame]) -> Iterator[Pcm]:
        for frame in frames:
            # Packed s16: one row of interleaved samples.
            yield frame.to_ndarray().astype(np.int16, copy=False).reshape(-1, self._channels)
