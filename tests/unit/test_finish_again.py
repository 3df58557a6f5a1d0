"""A take that cannot be finished yet, is finished again, or is damaged; and pixels that nobody measured."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import NotFound, ObjectDamaged, StillLive
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeHeader
from pipeline.grid import FRAME, Grid, first_frame
from pipeline.pcm import Pcm
from pipeline.replay.peaks import PIXEL, PeakMeter, Peaks
from pipeline.segmenter import Segmenter
from storage.names import (
    CHAPTERS,
    DERIVED,
    META,
    PEAKS,
    RECORD,
    REPLAY_M3U8,
    REPLAY_M4A,
    STORY,
    entry_name,
    fragment_name,
    fragment_of,
    open_name,
    take_object,
)
from storage.objects import Objects
from tests.finishing import commit_of, document, finisher
from tests.over_takes import KEY, SAMPLES, Watched, archive, everything, header
from workers.archive.commit import StoryMissing
from workers.archive.notes import ArchiveNotes
from workers.archive.verify import verify


def test_without_its_story_a_take_waits_untouched(disk_objects: Objects) -> None:
    archive(disk_objects, header(), told=False)
    before = everything(disk_objects)
    with pytest.raises(StoryMissing):
        finisher(disk_objects).finish(KEY)
    assert everything(disk_objects) == before


def test_a_take_whose_owner_died_is_as_long_as_its_last_part(disk_objects: Objects) -> None:
    archive(disk_objects, header("64k", "32k"), told=False, lost={("64k", 17, 3)})
    finisher(disk_objects).finish(KEY, without_story=True)
    told = commit_of(disk_objects).story
    assert told.samples == Grid(5).stop_sample(Position(17, 3))
    assert told.speakers == ()
    assert verify(disk_objects, KEY).problems == ()


def test_a_take_without_a_story_or_a_fragment_was_never_there(disk_objects: Objects) -> None:
    archive(disk_objects, header(), told=False, made=())
    finisher(disk_objects).finish(KEY, without_story=True)
    assert disk_objects.head(open_name(KEY)) is None
    assert disk_objects.head(take_object(KEY, RECORD)) is None


def test_a_take_without_a_sample_is_finished_and_has_no_replay(disk_objects: Objects) -> None:
    archive(disk_objects, header(), 0)
    finisher(disk_objects).finish(KEY)
    assert commit_of(disk_objects).story.samples == 0
    assert disk_objects.head(entry_name(KEY)) is None
    assert disk_objects.head(open_name(KEY)) is None
    assert verify(disk_objects, KEY).problems == ()
    with pytest.raises(NotFound):
        finisher(disk_objects).edit(KEY, lambda meta: meta)


def test_a_story_that_cannot_be_read_is_named(disk_objects: Objects) -> None:
    archive(disk_objects, header(), told=False)
    disk_objects.put_new(take_object(KEY, STORY), b"{}")
    metrics = Metrics(CollectorRegistry())
    with pytest.raises(ObjectDamaged, match=r"story\.json"):
        finisher(disk_objects, metrics).finish(KEY)
    assert metrics.registry.get_sample_value("longwave_replays_total", {"outcome": "damaged"}) == 1


def test_a_fragment_that_its_storage_knows_to_be_damaged_is_a_gap(disk_objects: Objects) -> None:
    archive(disk_objects, header())
    damaged = fragment_name(KEY, "64k", 15)

    def check(what: str, name: str) -> None:
        if (what, name) == ("read", damaged):
            raise ObjectDamaged(f"{name}: its bytes are not those that were stored")

    finisher(Watched(disk_objects, check)).finish(KEY)
    (gap,) = commit_of(disk_objects).gaps
    assert gap.span == (FRAME * first_frame(15), SAMPLES)
    assert gap.why == "the archived fragment 64k/15.mp4 is damaged"


def test_a_fragment_that_was_damaged_after_the_commit_is_named(disk_objects: Objects) -> None:
    archive(disk_objects, header())
    finisher(disk_objects).finish(KEY)
    name = fragment_name(KEY, "64k", 15)
    data = bytearray(disk_objects.read(name).data)
    data[-1] ^= 1
    disk_objects.write(name, [bytes(data)])
    with pytest.raises(ObjectDamaged, match=r"64k/15\.mp4"):
        finisher(disk_objects).derive(KEY, again=True)


def test_what_was_derived_is_made_again_when_it_is_gone(disk_objects: Objects) -> None:
    archive(disk_objects, header())
    finisher(disk_objects).finish(KEY)
    whole = everything(disk_objects)
    for name in (REPLAY_M4A, PEAKS, DERIVED):
        disk_objects.delete([take_object(KEY, name)])
        finisher(disk_objects).derive(KEY)
        assert everything(disk_objects) == whole


@pytest.mark.parametrize("document", ['{"meta": "%s", "objects": {}}', '{"objects": Infinity}'])
def test_a_derived_json_that_names_nothing_is_made_again(disk_objects: Objects, document: str) -> None:
    archive(disk_objects, header())
    finisher(disk_objects).finish(KEY)
    whole = everything(disk_objects)
    meta = sha256(disk_objects.read(take_object(KEY, META)).data).hexdigest()
    disk_objects.write(take_object(KEY, DERIVED), [document.replace("%s", meta).encode()])
    finisher(disk_objects).derive(KEY)
    assert everything(disk_objects) == whole


def test_what_was_derived_and_damaged_is_made_anew_on_request(disk_objects: Objects) -> None:
    archive(disk_objects, header())
    finisher(disk_objects).finish(KEY)
    whole = everything(disk_objects)
    for name in (REPLAY_M4A, PEAKS, CHAPTERS, f"64k/{REPLAY_M3U8}"):
        data = disk_objects.read(take_object(KEY, name)).data
        disk_objects.write(take_object(KEY, name), [b"\0" * len(data)])
    finisher(disk_objects).derive(KEY, again=True)
    assert everything(disk_objects) == whole


def test_finishing_again_changes_nothing_and_reads_no_fragment(disk_objects: Objects) -> None:
    archive(disk_objects, header())
    finisher(disk_objects).finish(KEY)
    whole = everything(disk_objects)
    done: list[tuple[str, str]] = []
    finisher(Watched(disk_objects, lambda what, name: done.append((what, name)))).finish(KEY)
    assert everything(disk_objects) == whole
    assert not [name for what, name in done if what in {"write", "replace"} or name.endswith("/0.mp4")]


def test_a_take_that_is_not_finished_cannot_be_derived_and_an_unknown_one_is_not_there(
    disk_objects: Objects,
) -> None:
    with pytest.raises(NotFound):
        finisher(disk_objects).derive(KEY)
    archive(disk_objects, header())
    with pytest.raises(StillLive):
        finisher(disk_objects).derive(KEY)


def test_each_fragment_is_read_twice_in_all_and_progress_is_told(disk_objects: Objects) -> None:
    archive(disk_objects, header())
    pixels = np.zeros((-(-SAMPLES // PIXEL), 3), np.int8)
    pixels[:, 0] = 1
    reads: list[str] = []
    told: list[tuple[int, int]] = []
    watched = Watched(disk_objects, lambda what, name: reads.append(name) if what == "read" else None)
    notes = ArchiveNotes(peaks=Peaks(pixels))
    finisher(watched).finish(KEY, notes, progress=lambda done, total: told.append((done, total)))
    assert reads.count(fragment_name(KEY, "64k", 0)) == 2
    assert all(done <= total for done, total in told)
    assert all(before[0] < after[0] for before, after in pairwise(told))
    assert told[-1][0] == told[-1][1]


# ---- the waveform ------------------------------------------------------------------------------------------


def sound(samples: int) -> Pcm:
    """A tone whose loudness changes with every second."""
    at = np.arange(samples)
    loud = 3_000 + 2_000 * (at // 48_000 % 10)
    return np.rint(loud * np.sin(2 * np.pi * 440 * at / 48_000)).astype(np.int16)[:, None]


def encoded(header: TakeHeader, pcm: Pcm) -> list[tuple[str, int, bytes]]:
    segmenter = Segmenter(header.settings, 0)
    parts = segmenter.push(np.concatenate((np.zeros((-segmenter.needs, 1), np.int16), pcm)))
    made: dict[tuple[str, int], bytes] = {}
    for part in [*parts, *segmenter.finish()]:
        name = part.rendition, fragment_of(part.msn)
        made[name] = made.get(name, b"") + part.data
    return [(*name, data) for name, data in made.items()]


def measured(pcm: Pcm) -> Peaks:
    meter = PeakMeter()
    return Peaks(np.empty((0, 3), np.int8)).filled([meter.push(0, pcm), meter.finish()])


def values(objects: Objects) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    data = document(objects, PEAKS)["data"]
    assert isinstance(data, list)
    return np.array(data).reshape(-1, 2)


def test_pixels_that_nobody_measured_are_decoded_and_those_that_were_stay(disk_objects: Objects) -> None:
    pcm = sound(SAMPLES)
    live = measured(pcm)
    kept = live.records.copy()
    kept[:, 1:] //= 2  # so that it is seen whose they are
    kept[100:250] = 0
    archive(disk_objects, header("64k", "32k"), made=encoded(header("64k", "32k"), pcm))
    finisher(disk_objects).finish(KEY, ArchiveNotes(peaks=Peaks(kept)))
    found = values(disk_objects)
    decoded = found[100:250] - live.records[100:250, 1:]
    assert np.abs(decoded).max() <= 2
    assert np.array_equal(np.delete(found, np.s_[100:250], 0), np.delete(kept[:, 1:], np.s_[100:250], 0))


def test_without_any_pixel_all_are_decoded_and_gaps_are_silent(disk_objects: Objects) -> None:
    pcm = sound(SAMPLES)
    made = encoded(header(), pcm)
    archive(disk_objects, header(), made=made[:1])
    finisher(disk_objects).finish(KEY)
    found = values(disk_objects)
    end = Grid(5).stop_sample(Position(14, 4)) // PIXEL
    assert np.abs(found[1:end] - measured(pcm).records[1:end, 1:]).max() <= 2
    assert len(found) == -(-SAMPLES // PIXEL)
    assert not found[end + 1 :].any()
