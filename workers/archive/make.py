"""Makes the files of a replay from a take's fragments: streamed, one fragment in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from contracts.errors import LongwaveError
from contracts.take import Rendition, TakeSettings
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from pipeline.playlist import render_multivariant
from pipeline.playlist.vod import render_fragment_vod, variant_of
from pipeline.replay.chapters import Mark, chapters_json
from pipeline.replay.fragment_index import FragmentIndex
from pipeline.replay.m4a import M4a
from pipeline.replay.movie import Tags
from pipeline.replay.peaks import Peaks, peaks_json
from storage.commit import TakeCommit
from storage.derived import Derived, DerivedObject, Digester
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import CHAPTERS, INIT, PEAKS, REPLAY_M3U8, REPLAY_M4A, take_object
from storage.objects import Objects
from storage.reading import content
from storage.take_record import TakeRecord
from workers.archive.commit import Indexes, index_take
from workers.archive.reading import read_fragment
from workers.archive.steps import Steps
from workers.archive.waveform import whole_peaks

Guard = Callable[[Iterable[bytes]], Iterator[bytes]]
"""Chunks passed through, with a last look before the end whether they are still wanted."""


class Superseded(LongwaveError):
    """Somebody else has changed or derived what is being made. Handled inside: look again."""


class Making:
    """What is made of one finished take. `indexes` and `live_peaks` are what is known already."""

    def __init__(
        self,
        objects: Objects,
        commit: TakeCommit,
        steps: Steps,
        *,
        indexes: Indexes | None = None,
        live_peaks: Peaks | None = None,
    ) -> None:
        self.commit = commit
        self._objects = objects
        self._steps = steps
        self._indexes = dict(indexes or {})
        self._live_peaks = live_peaks

    def make(self, meta: TakeMeta, old: Derived | None, guard: Guard) -> dict[str, DerivedObject]:
        """Write everything; what does not depend on `meta` is as in `old`, where there is such a thing.

        Raises ObjectDamaged, StorageUnavailable, and what `guard` raises.
        """
        made = {
            REPLAY_M4A: self._write(REPLAY_M4A, guard(self._m4a(meta))),
            CHAPTERS: self._write(CHAPTERS, guard([self._chapters(meta)])),
        }
        if old is not None:
            return made | {name: each for name, each in old.objects.items() if name not in made}
        for name, text in self._playlists():
            made[name] = self._write(name, [text.encode()])
        made[PEAKS] = self._peaks()
        return made

    def _write(self, name: str, chunks: Iterable[bytes]) -> DerivedObject:
        digester = Digester()
        self._objects.write(take_object(self.commit.story.key, name), digester.through(chunks))
        return digester.done()

    def _m4a(self, meta: TakeMeta) -> Iterator[bytes]:
        story = self.commit.story
        best = best_rendition(story.header.settings)
        made = m4a_of(self.commit, meta, self._index(best.name))
        records = {record.msn: record for record in self.commit.fragments.get(best.name, ())}
        self._steps.expect(len(records))

        def read(msn: int) -> bytes:
            data = read_fragment(self._objects, story.key, best.name, records[msn])
            self._steps.done()
            return data

        return made.chunks(read)

    def _chapters(self, meta: TakeMeta) -> bytes:
        story = self.commit.story
        # The replay page has its title from here: take.json never changes.
        titled = {"title": meta.shown_title(story), **chapters_json(marks_of(story, meta), story.samples)}
        return to_bytes(titled)

    def _playlists(self) -> Iterator[tuple[str, str]]:
        story = self.commit.story
        settings = story.header.settings
        grid = Grid(settings.parts)
        variants = []
        for rendition in settings.renditions:
            indexes = self._index(rendition.name)
            # Deterministic, and there already unless everybody who archived it died at once.
            init = init_segment(settings, rendition)
            self._objects.put_new(take_object(story.key, f"{rendition.name}/{INIT}"), init)
            text = render_fragment_vod(indexes, grid, story.samples, story.header.epoch_us)
            yield f"{rendition.name}/{REPLAY_M3U8}", text
            variants.append(variant_of(rendition, indexes, grid))
        yield REPLAY_M3U8, render_multivariant(variants, ".")

    def _peaks(self) -> DerivedObject:
        """The waveform. The first one stays: what was measured live and what was decoded differ a little."""
        name = take_object(self.commit.story.key, PEAKS)
        there = content(self._objects, name)
        if there is None:
            peaks = whole_peaks(self._objects, self.commit, self._live_peaks, self._steps)
            self._objects.put_new(name, to_bytes(peaks_json(peaks, self.commit.story.samples)))
            there = content(self._objects, name)
        if there is None:
            raise Superseded(f"{name}: somebody has removed it")
        digester = Digester()
        digester.add(there.data)
        return digester.done()

    def _index(self, rendition: str) -> Sequence[FragmentIndex]:
        if rendition not in self._indexes:
            self._steps.expect(len(self.commit.fragments.get(rendition, ())))
            self._indexes[rendition] = index_take(self._objects, self.commit, rendition, self._steps)
        return self._indexes[rendition]


def m4a_of(commit: TakeCommit, meta: TakeMeta, indexes: Sequence[FragmentIndex]) -> M4a:
    """The m4a of a take, from the fragments of one rendition, as `meta` wants it called."""
    story = commit.story
    tags = Tags(
        title=_text(meta.shown_title(story)),
        artist=_text(", ".join(speaker.name for speaker in story.speakers)),
        album=_text(story.room_title or story.key.room),
        date=story.started_at.date().isoformat(),
    )
    marks = marks_of(story, meta)
    return M4a(story.header.settings.channels, indexes, story.samples, marks, tags)


def marks_of(story: TakeRecord, meta: TakeMeta) -> list[Mark]:
    """The chapters that listeners see."""
    return [Mark(chapter.sample, _text(chapter.title)) for chapter in meta.shown_chapters(story)]


def derived_names(settings: TakeSettings) -> set[str]:
    """What is made of every take with these settings."""
    playlists = {f"{rendition.name}/{REPLAY_M3U8}" for rendition in settings.renditions}
    return {REPLAY_M4A, REPLAY_M3U8, CHAPTERS, PEAKS} | playlists


def best_rendition(settings: TakeSettings) -> Rendition:
    """The one that the m4a is made of."""
    return max(settings.renditions, key=lambda each: each.bit_rate)


def _text(text: str) -> str:
    """What UTF-8 can hold of a text: JSON may have half a surrogate pair in it."""
    return text.encode(errors="replace").decode()
