"""A take that is over becomes a replay: what is written, what is said to be lost."""

from __future__ import annotations

import json
from hashlib import sha256

from contracts.position import Position
from pipeline.grid import Grid
from storage.commit import FragmentRecord, Gap
from storage.derived import Derived, Digester
from storage.entry import ReplayEntry
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
    take_object,
)
from storage.objects import Objects
from tests.finishing import commit_of, document, finisher
from tests.over_takes import KEY, SAMPLES, archive, everything, fragments, header, story
from workers.archive.commit import label
from workers.archive.notes import ArchiveNotes
from workers.archive.verify import verify


def span_of(*, parts: int, first: tuple[int, int], last: tuple[int, int]) -> tuple[int, int]:
    grid = Grid(parts)
    return grid.start_sample(Position(*first)), grid.stop_sample(Position(*last))


def test_a_finished_take_has_everything_and_no_mark(disk_objects: Objects) -> None:
    archive(disk_objects, header("64k", "32k"))
    finisher(disk_objects).finish(KEY)
    names = {name.removeprefix(take_object(KEY, "")) for name in everything(disk_objects)}
    derived = {
        REPLAY_M4A,
        REPLAY_M3U8,
        CHAPTERS,
        PEAKS,
        DERIVED,
        *(f"{each}/{REPLAY_M3U8}" for each in ("64k", "32k")),
    }
    archived = {f"{each}/{name}.mp4" for each in ("64k", "32k") for name in ("init", 0, 15)}
    assert names == {*derived, *archived, STORY, RECORD, META, entry_name(KEY)}
    assert verify(disk_objects, KEY).problems == ()


def test_take_json_is_the_story_with_the_digest_of_every_fragment(disk_objects: Objects) -> None:
    archive(disk_objects, header("64k", "32k"))
    finisher(disk_objects).finish(KEY)
    found = commit_of(disk_objects)
    assert found.story == story(header("64k", "32k"))
    assert found.gaps == ()
    assert found.fragments == {
        rendition: tuple(
            FragmentRecord(first, len(data), sha256(data).hexdigest())
            for name, first, data in fragments(header("64k", "32k"), SAMPLES)
            if name == rendition
        )
        for rendition in ("64k", "32k")
    }


def test_derived_json_has_the_digest_of_each_file_and_of_the_meta_json_that_it_was_made_for(
    disk_objects: Objects,
) -> None:
    archive(disk_objects, header())
    finisher(disk_objects).finish(KEY)
    derived = Derived.from_json(document(disk_objects, DERIVED))
    assert derived.meta == sha256(disk_objects.read(take_object(KEY, META)).data).hexdigest()
    for name, told in derived.objects.items():
        digester = Digester()
        digester.add(disk_objects.read(take_object(KEY, name)).data)
        assert digester.done() == told


def test_the_entry_says_what_a_list_shows(disk_objects: Objects) -> None:
    archive(disk_objects, header())
    finisher(disk_objects).finish(KEY)
    entry = ReplayEntry.from_json(json.loads(disk_objects.read(entry_name(KEY)).data))
    m4a = disk_objects.read(take_object(KEY, REPLAY_M4A)).data
    assert entry == ReplayEntry(
        key=KEY,
        title="Radio Ada, 1 January 2026",
        published=True,
        epoch_us=header().epoch_us,
        samples=SAMPLES,
        speakers=("Ada", "Grace"),
        chapters=2,
        size=len(m4a),
        sha256=sha256(m4a).hexdigest(),
        derived=sha256(disk_objects.read(take_object(KEY, DERIVED)).data).hexdigest(),
    )


def test_a_room_may_want_its_replays_unpublished_at_first(disk_objects: Objects) -> None:
    archive(disk_objects, header(), told=False)
    disk_objects.put_new(
        take_object(KEY, STORY), json.dumps(story(header(), published=False).to_json()).encode()
    )
    finisher(disk_objects).finish(KEY)
    assert document(disk_objects, META)["published"] is False
    assert json.loads(disk_objects.read(entry_name(KEY)).data)["published"] is False


def test_what_no_fragment_holds_is_a_gap_to_the_part(disk_objects: Objects) -> None:
    lost = {("64k", 3, 1), ("64k", 3, 2), ("64k", 16, 4)}
    archive(disk_objects, header(), lost=lost)
    finisher(disk_objects).finish(KEY)
    assert commit_of(disk_objects).gaps == (
        Gap(span_of(parts=5, first=(3, 1), last=(3, 2)), "not archived"),
        Gap(span_of(parts=5, first=(16, 4), last=(16, 4)), "not archived"),
    )
    assert verify(disk_objects, KEY).problems == ()


def test_a_sample_is_there_only_if_every_rendition_has_it(disk_objects: Objects) -> None:
    archive(disk_objects, header("64k", "32k"), lost={("64k", 3, 1), ("32k", 3, 2)})
    finisher(disk_objects).finish(KEY)
    assert [gap.span for gap in commit_of(disk_objects).gaps] == [span_of(parts=5, first=(3, 1), last=(3, 2))]
    assert verify(disk_objects, KEY).problems == ()


def test_a_gap_ends_with_the_take(disk_objects: Objects) -> None:
    archive(disk_objects, header(), lost={("64k", 17, 3)})
    finisher(disk_objects).finish(KEY)
    assert commit_of(disk_objects).gaps[0].span[1] == SAMPLES


def test_a_whole_fragment_may_be_lost(disk_objects: Objects) -> None:
    archive(disk_objects, header(), lost={("64k", msn, part) for msn in range(15) for part in range(5)})
    finisher(disk_objects).finish(KEY)
    assert [gap.span for gap in commit_of(disk_objects).gaps] == [
        span_of(parts=5, first=(0, 0), last=(14, 4))
    ]
    assert verify(disk_objects, KEY).problems == ()


def test_a_take_of_which_all_is_lost_is_a_silent_replay_that_says_so(disk_objects: Objects) -> None:
    archive(disk_objects, header(), made=())
    finisher(disk_objects).finish(KEY)
    assert [gap.span for gap in commit_of(disk_objects).gaps] == [(0, SAMPLES)]
    assert verify(disk_objects, KEY).problems == ()


def test_gaps_have_the_reason_that_the_archiving_node_knew(disk_objects: Objects) -> None:
    start, stop = span_of(parts=5, first=(3, 1), last=(3, 2))
    middle = span_of(parts=5, first=(3, 1), last=(3, 1))[1]
    archive(disk_objects, header(), lost={("64k", 3, 1), ("64k", 3, 2)})
    notes = ArchiveNotes(lost=(((middle, stop + 500_000), "the spool was full"),))
    finisher(disk_objects).finish(KEY, notes)
    assert commit_of(disk_objects).gaps == (
        Gap((start, middle), "not archived"),
        Gap((middle, stop), "the spool was full"),
    )


def test_of_several_reasons_the_first_holds_and_equal_ones_are_one_gap() -> None:
    reasons = (((10, 20), "a"), ((15, 30), "b"), ((30, 40), "b"), ((70, 80), "far"))
    assert label([(0, 50), (60, 61)], reasons) == (
        Gap((0, 10), "not archived"),
        Gap((10, 20), "a"),
        Gap((20, 40), "b"),
        Gap((40, 50), "not archived"),
        Gap((60, 61), "not archived"),
    )


def test_a_fragment_that_nobody_can_read_is_a_gap_that_names_it(disk_objects: Objects) -> None:
    made = [(name, first, data if first else data[:-1]) for name, first, data in fragments(header(), SAMPLES)]
    archive(disk_objects, header(), made=made)
    finisher(disk_objects).finish(KEY)
    (gap,) = commit_of(disk_objects).gaps
    assert gap.span == span_of(parts=5, first=(0, 0), last=(14, 4))
    assert "64k/0.mp4" in gap.why
    assert verify(disk_objects, KEY).problems == ()
