"""Whether the files of a replay hold what its fragments hold. They are read as a player would read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from contracts.errors import MalformedMedia, ObjectDamaged
from pipeline.grid import FRAME, SAMPLE_RATE
from pipeline.replay.fragment_index import FragmentIndex
from storage.commit import TakeCommit
from storage.meta import TakeMeta
from storage.names import CHAPTERS, PEAKS, REPLAY_M3U8, REPLAY_M4A, take_object
from storage.objects import Objects
from storage.reading import content
from workers.archive.m4a_reader import Movie, Track, read_movie
from workers.archive.make import best_rendition, marks_of
from workers.archive.reading import read_fragment
from workers.archive.steps import Steps

_SILENCE: Final = 1 << 16
"""Bytes by which a fragment's part of the file may be longer than it: silence is put into its gaps."""
_A_MOMENT: Final = 0.001
"""Seconds to which times in text are compared."""
# ObjectDamaged: a storage that has checksums of its own says so first.
_NONSENSE: Final = (MalformedMedia, ObjectDamaged, ValueError, KeyError, TypeError, AttributeError)
_EXTINF: Final = "#EXTINF:"
_BYTERANGE: Final = re.compile(r"#EXT-X-BYTERANGE:([0-9]{1,12})@([0-9]{1,12})")


class Contents:
    """The files of one finished take, whose fragments have `indexes`, against these."""

    def __init__(
        self,
        objects: Objects,
        commit: TakeCommit,
        meta: TakeMeta,
        indexes: Mapping[str, Sequence[FragmentIndex]],
        steps: Steps,
    ) -> None:
        self._objects = objects
        self._commit = commit
        self._story = commit.story
        self._meta = meta
        self._indexes = indexes
        self._steps = steps

    def wrong(self, name: str, size: int) -> list[str]:
        """What is wrong with one of them, `size` bytes long. Raises StorageUnavailable."""
        try:
            if name == REPLAY_M4A:
                return [*self._m4a(size)]
            if name == CHAPTERS:
                return [*self._chapters()]
            if name == PEAKS:
                return [*self._peaks()]
            rendition, _, kind = name.rpartition("/")
            if kind == REPLAY_M3U8 and rendition:
                return [*self._playlist(rendition)]
        except _NONSENSE as error:
            return [str(error)[:200] or repr(error)]
        return []

    # ---- the m4a -------------------------------------------------------------------------------------------

    def _m4a(self, size: int) -> Iterator[str]:
        name = take_object(self._story.key, REPLAY_M4A)
        movie = read_movie(lambda start, stop: self._objects.read(name, start, min(stop, size)).data, size)
        sound = movie.track(b"soun")
        if sound is None:
            yield "no track of sound"
            return
        yield from self._times(movie, sound)
        yield from self._titles(movie)
        outside = (sound.offsets < movie.media[0]) | (sound.offsets + sound.sizes > movie.media[1])
        if outside.any():
            yield f"{int(outside.sum())} access units lie outside mdat"
            return
        yield from self._media(sound)

    def _times(self, movie: Movie, sound: Track) -> Iterator[str]:
        samples = self._story.samples
        if (movie.timescale, movie.duration) != (SAMPLE_RATE, samples):
            yield f"{movie.duration}/{movie.timescale} s long, not {samples}/{SAMPLE_RATE}"
        if sound.timescale != SAMPLE_RATE or sound.duration != FRAME * len(sound.sizes):
            yield f"its track is {sound.duration} long, with {len(sound.sizes)} access units"
        if len(sound.edits) != 1 or sound.edits[0][0] != samples or sound.edits[0][1] % FRAME:
            yield f"its edit list is {list(sound.edits)}, for {samples} samples"
        elif len(sound.sizes) != sound.edits[0][1] // FRAME + -(-samples // FRAME):
            yield f"{len(sound.sizes)} access units for {samples} samples"

    def _titles(self, movie: Movie) -> Iterator[str]:
        text = movie.track(b"text")
        wanted = len(marks_of(self._story, self._meta))
        found = len(text.sizes) if text is not None else 0
        if found != wanted:
            yield f"{found} chapters, not {wanted}"

    def _media(self, sound: Track) -> Iterator[str]:
        """Whether each access unit of each fragment lies where the file says that its frame does."""
        frames = -(-self._story.samples // FRAME)
        rendition = best_rendition(self._story.header.settings).name
        records = {record.msn: record for record in self._commit.fragments.get(rendition, ())}
        self._steps.expect(len(self._indexes.get(rendition, ())))
        for index in self._indexes.get(rendition, ()):
            data = read_fragment(self._objects, self._story.key, rendition, records[index.msn])
            wrong = self._elsewhere(sound, index, data, frames)
            self._steps.done()
            if wrong:
                yield f"{wrong} parts of {rendition}/{index.msn}.mp4 are not in it, or elsewhere"

    def _elsewhere(self, sound: Track, index: FragmentIndex, data: bytes, frames: int) -> int:
        """How many parts of a fragment do not lie in the file, of `frames` frames, as they should."""
        parts = [part for part in index.parts if part.first_frame < frames]
        if not parts:
            return 0
        priming = len(sound.sizes) - frames
        here = slice(
            priming + parts[0].first_frame, priming + min(frames, parts[-1].first_frame + parts[-1].frames)
        )
        offsets, sizes = sound.offsets[here], sound.sizes[here]
        start, stop = int(offsets.min()), int((offsets + sizes).max())
        if stop - start > len(data) + _SILENCE:
            return len(parts)  # all over the file: nobody writes it so
        media = self._objects.read(take_object(self._story.key, REPLAY_M4A), start, stop).data
        wrong = 0
        for part in parts:
            at = part.first_frame - parts[0].first_frame
            count = min(part.frames, frames - part.first_frame)
            places = zip(
                (offsets[at : at + count] - start).tolist(), sizes[at : at + count].tolist(), strict=True
            )
            units = b"".join(media[place : place + size] for place, size in places)
            whole = np.array_equal(sizes[at : at + count], part.sizes[:count])
            wrong += not (whole and units == data[part.payload][: len(units)])
        return wrong

    # ---- the others ----------------------------------------------------------------------------------------

    def _json(self, name: str) -> dict[str, Any]:
        found = content(self._objects, take_object(self._story.key, name))
        document: dict[str, Any] = json.loads(found.data) if found is not None else {}
        return document

    def _chapters(self) -> Iterator[str]:
        found = [(each["startTime"], each["title"]) for each in self._json(CHAPTERS)["chapters"]]
        wanted = [(mark.sample / SAMPLE_RATE, mark.title) for mark in marks_of(self._story, self._meta)]
        if [title for _, title in found] != [title for _, title in wanted]:
            yield f"{len(found)} chapters, other ones than the {len(wanted)} that there should be"
        elif any(abs(a - b) > _A_MOMENT for (a, _), (b, _) in zip(found, wanted, strict=True)):
            yield "chapters that begin elsewhere"

    def _peaks(self) -> Iterator[str]:
        peaks = self._json(PEAKS)
        pixel, pixels = int(peaks["samples_per_pixel"]), int(peaks["length"])
        if len(peaks["data"]) != 2 * pixels:
            yield f"{len(peaks['data'])} values for {pixels} pixels"
        if not (pixels - 1) * pixel < self._story.samples <= pixels * pixel:
            yield f"{pixels} pixels of {pixel} samples for {self._story.samples}"

    def _playlist(self, rendition: str) -> Iterator[str]:
        """Whether its byte ranges are whole parts, every one that there is, each where its time says."""
        if len(self._indexes.get(rendition, ())) < len(self._commit.fragments.get(rendition, ())):
            return  # where parts lie in a damaged fragment is not known
        found = content(self._objects, take_object(self._story.key, f"{rendition}/{REPLAY_M3U8}"))
        text = found.data.decode() if found is not None else ""
        fragments = {index.msn: index.parts for index in self._indexes.get(rendition, ())}
        frames = -(-self._story.samples // FRAME)
        wanted = {
            (msn, part.start)
            for msn, parts in fragments.items()
            for part in parts
            if part.first_frame < frames
        }
        reached = 0
        for listed in _listed(text):
            if listed.fragment is not None:
                inside = [
                    part
                    for part in fragments.get(listed.fragment, ())
                    if listed.start <= part.start and part.stop <= listed.stop
                ]
                if not inside or (inside[0].start, inside[-1].stop) != (listed.start, listed.stop):
                    yield f"bytes {listed.start} to {listed.stop} of {listed.fragment}.mp4 are no parts"
                    return
                if inside[0].first_frame != reached or sum(part.frames for part in inside) != listed.frames:
                    yield f"what begins with byte {listed.start} of {listed.fragment}.mp4 has another time"
                    return
                wanted -= {(listed.fragment, part.start) for part in inside}
            reached += listed.frames
        if wanted:
            yield f"{len(wanted)} parts are not listed"
        if reached < frames:
            yield f"{reached} frames long, not {frames}"


class _Listed(NamedTuple):
    """A segment of a playlist: bytes `start` to `stop` of a fragment, or a gap; how many frames it lasts."""

    fragment: int | None
    start: int
    stop: int
    frames: int


def _listed(text: str) -> Iterator[_Listed]:
    """Raises ValueError."""
    frames = start = stop = 0
    gap = False
    for line in text.splitlines():
        if line.startswith(_EXTINF):
            frames = round(float(line.removeprefix(_EXTINF).rstrip(",")) * SAMPLE_RATE / FRAME)
        elif line == "#EXT-X-GAP":
            gap = True
        elif match := _BYTERANGE.fullmatch(line):
            start, stop = int(match[2]), int(match[1]) + int(match[2])
        elif line and not line.startswith("#"):
            name = line.removesuffix(".mp4")
            yield _Listed(None if gap else int(name), start, stop, frames)
            frames = start = stop = 0
            gap = False
