"""`longwave package`: an audio file into an HLS VOD, by the same chain that encodes live rooms."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from contracts.cores import available_cores
from contracts.errors import BadRequest, UndecodableFile, UsageError
from contracts.take import Rendition, TakeSettings, parse_renditions
from pipeline.boxes import init_segment
from pipeline.decode import decode_pcm, duration_samples
from pipeline.grid import SEGMENT, Grid
from pipeline.package import EncodedSegment, Piece, cut, encode
from pipeline.playlist.model import Segment, Variant
from pipeline.playlist.multivariant import render_multivariant
from pipeline.playlist.vod import render_vod
from pipeline.window.bandwidth import Bandwidth
from storage.files import disk_errors

Progress = Callable[[int, int | None], None]
"""Called with the segments that are written and about how many there will be (None if nobody knows)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run wrote: MSNs, frames of sound, bytes of media (all renditions)."""

    segments: range
    frames: int
    size: int


def package_settings(renditions: str, channels: int, parts: int) -> TakeSettings:
    """Settings from `"32k,64k"`, 1 or 2 channels and 1 to 10 parts a segment. Raises UsageError."""
    try:
        return TakeSettings(channels, parts, parse_renditions(renditions))
    except BadRequest as error:
        raise UsageError(error.message) from error


def parse_segments(text: str) -> range:
    """`"A:B"` → the MSNs A ≤ n < B. Raises UsageError."""
    start, colon, stop = text.partition(":")
    if not (colon and start.isascii() and start.isdigit() and stop.isascii() and stop.isdigit()):
        raise UsageError(f"segments {text}: wanted A:B, two whole numbers")
    if int(start) >= int(stop):
        raise UsageError(f"segments {text}: there is nothing from {int(start)} up to {int(stop)}")
    return range(int(start), int(stop))


def package(
    source: Path,
    outdir: Path,
    settings: TakeSettings,
    segments: range | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Summary:
    """Write `index.m3u8` and, a rendition, `index.m3u8`, `init.mp4` and `{msn}.m4s` under `outdir`.

    `segments` writes only these, byte for byte those of the whole run, and playlists of them. The playlists
    come last, so that they never name a file that is not there. Raises UndecodableFile, UsageError (the input
    has not all of `segments`) and DiskUnavailable.
    """
    total = len(segments) if segments else _segments_of(source)
    report = _Report(settings)
    written = 0
    pieces = cut(decode_pcm(source, settings.channels), settings.channels, segments)
    for done in _encoded(pieces, settings, outdir):
        report.add(done)
        written += len(done) // len(settings.renditions)
        progress(written, total)
    if not written:
        raise UndecodableFile(f"{source}: there is no sound in it")
    for rendition in settings.renditions:
        _write(outdir / rendition.name / "init.mp4", init_segment(settings, rendition))
        _write(outdir / rendition.name / "index.m3u8", report.media_playlist().encode())
    _write(outdir / "index.m3u8", report.multivariant_playlist().encode())
    return report.summary()


def _encoded(pieces: Iterable[Piece], settings: TakeSettings, outdir: Path) -> Iterator[list[EncodedSegment]]:
    """The pieces' segments, in order, encoded on all cores (the codec releases the GIL) and written.

    Decoding goes on meanwhile, and waits when two pieces a core are under way: memory is bounded.
    """
    cores = available_cores()
    running: deque[Future[list[EncodedSegment]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for piece in pieces:
                running.append(pool.submit(_encode_and_write, piece, settings, outdir))
                if len(running) > 2 * cores:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _encode_and_write(piece: Piece, settings: TakeSettings, outdir: Path) -> list[EncodedSegment]:
    segments = encode(piece, settings)
    for segment in segments:
        _write(outdir / segment.rendition / f"{segment.msn}.m4s", segment.data)
    return segments


def _write(path: Path, data: bytes) -> None:
    """A reader sees the old file or the new one. Not synced: a run that is cut off is run again."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            aside.write_bytes(data)
            aside.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise


def _segments_of(source: Path) -> int | None:
    samples = duration_samples(source)
    return None if samples is None else -(-samples // SEGMENT)


class _Report:
    """What the playlists say about the segments that were written."""

    def __init__(self, settings: TakeSettings) -> None:
        self._grid = Grid(settings.parts)
        self._renditions = settings.renditions
        self._rates = {rendition.name: Bandwidth(rendition, self._grid) for rendition in settings.renditions}
        self._segments: dict[int, Segment] = {}
        self._size = 0

    def add(self, encoded: list[EncodedSegment]) -> None:
        """Count segments; those of one rendition in order."""
        for each in encoded:
            segment = Segment(each.msn, each.parts)
            self._segments[each.msn] = segment
            self._rates[each.rendition].add(segment, len(each.data))
            self._size += len(each.data)

    def media_playlist(self) -> str:
        """The same for every rendition: only the directory differs."""
        return render_vod([*self._segments.values()], self._grid)

    def multivariant_playlist(self) -> str:
        """With measured bit rates."""
        return render_multivariant([self._variant(rendition) for rendition in self._renditions], ".")

    def summary(self) -> Summary:
        """What was written, in numbers."""
        msns = [*self._segments]
        frames = sum(segment.frames(self._grid) for segment in self._segments.values())
        return Summary(range(msns[0], msns[-1] + 1), frames, self._size)

    def _variant(self, rendition: Rendition) -> Variant:
        rate = self._rates[rendition.name]
        return Variant(rendition.name, rendition.bit_rate, rate.peak, rate.average)
