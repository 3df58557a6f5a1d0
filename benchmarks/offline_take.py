"""A take that is over, made offline by `longwave package`'s chain, as fast as the cores go.

It lies in a storage as an archiver leaves it: fragments, `story.json`, the mark of a take that is not
finished; and there is the waveform that was measured while it was live.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

from benchmarks.sound import LOOP_SECONDS, loop
from contracts.cores import available_cores
from contracts.ids import new_take_id
from contracts.position import Position
from contracts.take import Rendition, TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.boxes import init_segment, sequence_number
from pipeline.boxes.fragment import HEAD_SIZE, part_head
from pipeline.fingerprint import encoder_fingerprint
from pipeline.grid import SAMPLE_RATE, SEGMENT, Grid, first_frame
from pipeline.package import EncodedSegment, cut, encode
from pipeline.pcm import Pcm
from pipeline.replay.fragment_index import index_fragment
from pipeline.replay.peaks import Peaks, measure
from storage.documents import to_bytes
from storage.names import (
    FRAGMENT_SEGMENTS,
    INIT,
    STORY,
    entry_name,
    fragment_name,
    fragment_of,
    open_name,
    take_object,
)
from storage.objects import Objects
from storage.take_record import Ending, Loudness, TakeRecord, take_record
from workers.archive.finish import Finisher
from workers.archive.notes import ArchiveNotes

HOUR: Final = 3_600
ROUND: Final = 120
"""Seconds after which a fragment begins at the same place of the grid again: 4 fragments, 15 × 8 s."""
_ROOM: Final = "bench"
_EPOCH_US: Final = 1_767_225_600_000_000
_SPEAKERS: Final = ("Ada", "Grace")
_TURN: Final = 10
_CHAPTER: Final = 300
_STAYS: Final = (f"/{STORY}", ".mp4")


@dataclass(frozen=True)
class OfflineTake:
    """Where it is in its storage, how long it is, and its waveform as a file of records."""

    key: TakeKey
    settings: TakeSettings
    seconds: int
    peaks: bytes

    @property
    def path(self) -> str:
        """Where its file is served."""
        return f"/replay/{self.key.room}/{self.key.take}.m4a"


def make_take(
    objects: Objects, seconds: int = HOUR, renditions: Sequence[str] = ("64k",), *, encoded: int = HOUR
) -> OfflineTake:
    """A take of `seconds`, of which the first `encoded` are encoded, and said again and again after that.

    `encoded` is a multiple of `ROUND`, and `seconds` one of `encoded`.
    """
    encoded = min(encoded, seconds)
    if encoded % ROUND or seconds % encoded:
        raise ValueError(f"{seconds} s, of which {encoded} are encoded")
    settings = TakeSettings(renditions=tuple(map(Rendition, renditions)))
    key = TakeKey(_ROOM, new_take_id(_EPOCH_US, os.urandom(4)))
    header = TakeHeader(_EPOCH_US, settings, encoder_fingerprint())
    objects.put_new(open_name(key), to_bytes(header.to_json()))
    for rendition in settings.renditions:
        name = take_object(key, f"{rendition.name}/{INIT}")
        objects.put_new(name, init_segment(settings, rendition))
    for name, msn, data in _fragments(settings, encoded):
        for later in range(0, seconds * SAMPLE_RATE // SEGMENT, encoded * SAMPLE_RATE // SEGMENT):
            moved = _later(data, Grid(settings.parts), msn, later)
            objects.put_new(fragment_name(key, name, msn + later), moved)
    objects.put_new(take_object(key, STORY), to_bytes(_story(key, header, seconds).to_json()))
    peaks = b"".join(pixels.pack() for pixels in measure(0, _pcm(seconds)))
    return OfflineTake(key, settings, seconds, peaks)


def unfinish(objects: Objects, take: OfflineTake) -> None:
    """Remove what finishing has made."""
    header = TakeHeader(_EPOCH_US, take.settings, encoder_fingerprint())
    objects.put_new(open_name(take.key), to_bytes(header.to_json()))
    names = [info.name for info in objects.list(take_object(take.key, ""))]
    objects.delete([entry_name(take.key), *(name for name in names if not name.endswith(_STAYS))])


def published(objects: Objects, seconds: int = HOUR, *, encoded: int = HOUR) -> OfflineTake:
    """A take of 64k that is finished, and published."""
    take = make_take(objects, seconds, encoded=encoded)
    Finisher(objects, None, clock=time.time).finish(take.key, ArchiveNotes((), Peaks.unpack(take.peaks)))
    return take


# ---- what it is made of ------------------------------------------------------------------------------------


def _pcm(seconds: int) -> Iterator[Pcm]:
    minute = loop().reshape(-1, 1)
    for at in range(0, seconds, LOOP_SECONDS):
        yield minute[: (seconds - at) * SAMPLE_RATE]


def _fragments(settings: TakeSettings, seconds: int) -> Iterator[tuple[str, int, bytes]]:
    """Rendition, first MSN and bytes of each fragment, as they become complete."""
    made: dict[tuple[str, int], list[bytes]] = {}
    for segment in _segments(settings, seconds):
        first = fragment_of(segment.msn)
        (segments := made.setdefault((segment.rendition, first), [])).append(segment.data)
        if len(segments) == FRAGMENT_SEGMENTS:
            yield segment.rendition, first, b"".join(made.pop((segment.rendition, first)))


def _segments(settings: TakeSettings, seconds: int) -> Iterator[EncodedSegment]:
    """In the order of time, encoded on all cores."""
    cores = available_cores()
    pieces = cut(_pcm(seconds), settings.channels, None)
    with ThreadPoolExecutor(cores) as pool:
        while some := [*islice(pieces, 4 * cores)]:
            for segments in pool.map(lambda piece: encode(piece, settings), some):
                yield from segments


def _later(data: bytes, grid: Grid, msn: int, segments: int) -> bytes:
    """A fragment that begins with `msn`, so many segments later: only its parts' numbers are others."""
    if not segments:
        return data
    frames = first_frame(segments)
    said = []
    for part in index_fragment(data, grid, msn).parts:
        position = Position(part.position.msn + segments, part.position.part)
        said.append(part_head(part.frames, part.first_frame + frames, sequence_number(position, grid.parts)))
        said.append(data[part.start + HEAD_SIZE : part.stop])
    return b"".join(said)


def _story(key: TakeKey, header: TakeHeader, seconds: int) -> TakeRecord:
    """Two who take turns, and a chapter every five minutes."""
    events = [TakeEvent(0, n, "join", speakers=(name,)) for n, name in enumerate(_SPEAKERS)]
    for turn, at in enumerate(range(0, seconds, _TURN)):
        speaker = _SPEAKERS[turn % len(_SPEAKERS)]
        start, stop = at * SAMPLE_RATE, (at + _TURN) * SAMPLE_RATE - 1
        events += [
            TakeEvent(start, 2, "start", speakers=(speaker,)),
            TakeEvent(stop, 0, "stop", speakers=(speaker,)),
        ]
        if at % _CHAPTER == 0:
            events.append(TakeEvent(start, 3, "chapter", title=f"Chapter {at // _CHAPTER + 1}"))
    ending = Ending(Loudness(-16.0), room_title="Benchmarks")
    return take_record(key, header, seconds * SAMPLE_RATE, events, ending)
