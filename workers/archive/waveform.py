"""The waveform of a finished take: what was measured while it was live, and what is missing, decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from pipeline.decode import UnitDecoder
from pipeline.grid import FRAME, Grid, first_sample
from pipeline.pcm import Pcm, silence
from pipeline.replay.fragment_index import PartPlace, index_fragment
from pipeline.replay.peaks import NO_PEAKS, PIXEL, PeakMeter, Peaks, Pixels
from storage.commit import FragmentRecord, TakeCommit
from storage.names import FRAGMENT_SEGMENTS
from storage.objects import Objects
from workers.archive.reading import read_fragment
from workers.archive.steps import Steps

_Runs = Iterator[tuple[int, Pcm]]
"""Sound with the sample at which it begins."""


def whole_peaks(objects: Objects, commit: TakeCommit, known: Peaks | None, steps: Steps) -> Peaks:
    """`known`, with what it lacks decoded from the smallest rendition. Raises ObjectDamaged."""
    peaks = NO_PEAKS if known is None else known
    absent = peaks.absent(commit.story.samples)
    return peaks.filled(_measured(_sound(objects, commit, absent, steps))) if absent else peaks


def _sound(objects: Objects, commit: TakeCommit, absent: Sequence[range], steps: Steps) -> _Runs:
    """The fragments that have a part in pixels of `absent`, decoded."""
    settings = commit.story.header.settings
    rendition = min(settings.renditions, key=lambda each: each.bit_rate).name
    wanted = [record for record in commit.fragments.get(rendition, ()) if _touches(record, absent)]
    steps.expect(len(wanted))
    decoder = UnitDecoder(settings.channels)
    for record in wanted:
        data = read_fragment(objects, commit.story.key, rendition, record)
        for part in index_fragment(data, Grid(settings.parts), record.msn).parts:
            yield part.first_frame * FRAME, decoder.push(_units(data, part))
        steps.done()


def _touches(record: FragmentRecord, absent: Sequence[range]) -> bool:
    start, stop = first_sample(record.msn), first_sample(record.msn + FRAGMENT_SEGMENTS)
    return any(pixels.start * PIXEL < stop and start < pixels.stop * PIXEL for pixels in absent)


def _units(data: bytes, part: PartPlace) -> list[bytes]:
    ends = accumulate(part.sizes.tolist(), initial=part.payload.start)
    return [data[start:stop] for start, stop in pairwise(ends)]


def _measured(sound: _Runs) -> Iterator[Pixels]:
    """The pixels of stretches of sound, with silence between them."""
    meter = PeakMeter()
    at = 0
    for start, pcm in sound:
        # Of a gap only the two pixels count that also have sound.
        ends = min(start, at + -at % PIXEL)
        if at < ends:
            yield meter.push(at, silence(ends - at, pcm.shape[1]))
        begins = max(ends, start - start % PIXEL)
        if begins < start:
            yield meter.push(begins, silence(start - begins, pcm.shape[1]))
        yield meter.push(start, pcm)
        at = start + len(pcm)
    yield meter.finish()
