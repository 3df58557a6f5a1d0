"""A take as the archive keeps it, made offline: fragments, and what a replay is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from contracts.position import Position
from contracts.take import Rendition, TakeSettings
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from pipeline.pcm import Pcm, silence
from pipeline.replay.chapters import Mark
from pipeline.replay.fragment_index import FRAGMENT_SEGMENTS, FragmentIndex, index_fragment
from pipeline.replay.m4a import M4a
from pipeline.replay.movie import Tags
from pipeline.segmenter import Segmenter

TAGS = Tags("A title", "Ann, Bob", "The room", "2026-01-02")


@dataclass(frozen=True)
class Archived:
    """One rendition of a take of `samples`: the bytes of its parts."""

    settings: TakeSettings
    samples: int
    parts: dict[Position, bytes]

    @classmethod
    def of(cls, pcm: Pcm, *, rendition: str = "64k", parts: int = 5) -> Archived:
        """The take that `pcm`, shape (n, channels), is."""
        settings = TakeSettings(pcm.shape[1], parts, (Rendition(rendition),))
        segmenter = Segmenter(settings, 0)
        made = segmenter.push(silence(-segmenter.needs, pcm.shape[1]))
        made += segmenter.push(pcm) + segmenter.finish()
        return cls(settings, len(pcm), {Position(each.msn, each.part): each.data for each in made})

    @classmethod
    def empty(cls, samples: int, *, channels: int = 1, parts: int = 5) -> Archived:
        """A take of which nothing was kept."""
        return cls(TakeSettings(channels, parts, (Rendition("64k"),)), samples, {})

    def without(self, lost: Callable[[Position], bool]) -> Archived:
        """As after a crash that took the parts that are `lost`."""
        kept = {position: data for position, data in self.parts.items() if not lost(position)}
        return replace(self, parts=kept)

    @property
    def grid(self) -> Grid:
        return Grid(self.settings.parts)

    @property
    def fragments(self) -> dict[int, bytes]:
        """By the segment that they begin with, or would."""
        fragments: dict[int, bytes] = {}
        for (msn, _), data in self.parts.items():
            first = msn - msn % FRAGMENT_SEGMENTS
            fragments[first] = fragments.get(first, b"") + data
        return fragments

    @property
    def indexes(self) -> list[FragmentIndex]:
        return [index_fragment(data, self.grid, msn) for msn, data in self.fragments.items()]

    @property
    def init(self) -> bytes:
        return init_segment(self.settings, self.settings.renditions[0])

    def m4a(self, marks: Sequence[Mark] = (), tags: Tags = TAGS) -> bytes:
        """The whole file."""
        file = M4a(self.settings.channels, self.indexes, self.samples, marks, tags)
        data = b"".join(file.chunks(self.fragments.__getitem__))
        assert len(data) == file.size
        return data
