"""Verification reads everything, and names each object that is not what it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise

import pytest

from contracts.errors import NotFound
from storage.commit import TakeCommit
from storage.derived import Derived, DerivedObject, Digester
from storage.documents import to_bytes
from storage.names import (
    CHAPTERS,
    DERIVED,
    META,
    PEAKS,
    RECORD,
    REPLAY_M3U8,
    REPLAY_M4A,
    STORY,
    deleted_name,
    entry_name,
    fragment_name,
    take_object,
)
from storage.take_record import TakeRecord
from tests.over_takes import KEY, SAMPLES, Memory, archive, everything, header
from workers.archive.finish import Finisher
from workers.archive.verify import verify
from workers.archive.verify_findings import Report

LOST = {("64k", 3, 1), ("64k", 3, 2), ("32k", 16, 0)}
CHECKED = (
    "64k/init.mp4",
    "32k/init.mp4",
    "64k/0.mp4",
    "32k/15.mp4",
    REPLAY_M4A,
    REPLAY_M3U8,
    f"64k/{REPLAY_M3U8}",
    CHAPTERS,
    PEAKS,
    DERIVED,
    META,
)


@pytest.fixture(scope="module")
def finished() -> Memory:
    memory = Memory()
    archive(memory, header("64k", "32k"), lost=LOST)
    Finisher(memory, None, clock=lambda: 0.0).finish(KEY)
    return memory


@pytest.fixture
def objects(finished: Memory) -> Memory:
    return finished.copy()


def named(report: Report) -> set[str]:
    return {problem.name for problem in report.problems}


def change(objects: Memory, name: str, edit: Callable[[bytearray], None]) -> None:
    data = bytearray(objects.read(name).data)
    edit(data)
    objects.write(name, [bytes(data)])


def flip(data: bytearray, at: int = -1) -> None:
    data[at] ^= 0x10


def put_derived(objects: Memory, name: str, data: bytes) -> None:
    """Put other bytes there, and let the documents know: only what is in them is wrong then."""
    objects.write(take_object(KEY, name), [data])
    derived = Derived.from_json(json.loads(objects.read(take_object(KEY, DERIVED)).data))
    digester = Digester()
    digester.add(data)
    told: dict[str, DerivedObject] = {**derived.objects, name: digester.done()}
    document = to_bytes(Derived(derived.meta, derived.record, told).to_json())
    objects.write(take_object(KEY, DERIVED), [document])
    entry = json.loads(objects.read(entry_name(KEY)).data)
    m4a = told[REPLAY_M4A]
    entry |= {"derived": sha256(document).hexdigest(), "m4a": {"bytes": m4a.size, "sha256": m4a.sha256}}
    objects.write(entry_name(KEY), [to_bytes(entry)])


def test_a_whole_take_has_no_problem_and_everything_is_counted(objects: Memory) -> None:
    told: list[tuple[int, int]] = []
    report = verify(objects, KEY, lambda done, total: told.append((done, total)))
    assert report.problems == ()
    assert report.whole
    assert (report.key, report.samples, report.fragments) == (KEY, SAMPLES, 4)
    assert report.objects == len(everything(objects))
    assert report.lost == sum(stop - start for start, stop in ((g.span) for g in _commit(objects).gaps))
    assert report.lost > 0
    assert all(before[0] < after[0] for before, after in pairwise(told))
    assert all(done <= total for done, total in told)


def _commit(objects: Memory) -> TakeCommit:
    return TakeCommit.from_json(json.loads(objects.read(take_object(KEY, RECORD)).data))


@pytest.mark.parametrize("name", CHECKED)
def test_an_object_that_is_missing_is_named(objects: Memory, name: str) -> None:
    objects.delete([take_object(KEY, name)])
    assert take_object(KEY, name) in named(verify(objects, KEY))


@pytest.mark.parametrize("name", [name for name in CHECKED if name not in {META, DERIVED}])
@pytest.mark.parametrize("place", [8, -1])
def test_a_bit_that_is_wrong_is_named(objects: Memory, name: str, place: int) -> None:
    change(objects, take_object(KEY, name), lambda data: flip(data, place))
    assert named(verify(objects, KEY)) == {take_object(KEY, name)}


@pytest.mark.parametrize("name", ["64k/0.mp4", REPLAY_M4A, PEAKS])
def test_an_object_that_is_cut_off_or_too_long_is_named(objects: Memory, name: str) -> None:
    whole = objects.read(take_object(KEY, name)).data
    for data in (whole[:-1], whole + b"\0", b""):
        objects.write(take_object(KEY, name), [data])
        assert named(verify(objects, KEY)) == {take_object(KEY, name)}


@pytest.mark.parametrize("name", [RECORD, META, DERIVED, STORY])
def test_a_document_without_sense_is_named(objects: Memory, name: str) -> None:
    objects.write(take_object(KEY, name), [b"{}"])
    assert take_object(KEY, name) in named(verify(objects, KEY))


def test_a_take_whose_commit_mark_is_gone_is_named_by_it(objects: Memory) -> None:
    objects.delete([take_object(KEY, RECORD)])
    assert named(verify(objects, KEY)) == {take_object(KEY, RECORD)}


def test_an_entry_that_is_missing_damaged_or_wrong_is_named(objects: Memory) -> None:
    entry = json.loads(objects.read(entry_name(KEY)).data)
    for data in (b"?", to_bytes(entry | {"title": "Another"}), to_bytes(entry | {"published": False})):
        objects.write(entry_name(KEY), [data])
        assert named(verify(objects, KEY)) == {entry_name(KEY)}
    objects.delete([entry_name(KEY)])
    assert named(verify(objects, KEY)) == {entry_name(KEY)}


@pytest.mark.parametrize("how", ["none", "longer", "elsewhere", "reversed"])
def test_gaps_that_are_not_what_is_lost_are_named(objects: Memory, how: str) -> None:
    record = json.loads(objects.read(take_object(KEY, RECORD)).data)
    gaps = record["gaps"]
    if how == "none":
        gaps.clear()
    elif how == "longer":
        gaps[0]["to"] += 1024
    elif how == "elsewhere":
        gaps[0] = {"from": 0, "to": 1024, "why": "?"}
    else:
        gaps.reverse()
    objects.write(take_object(KEY, RECORD), [to_bytes(record)])
    assert named(verify(objects, KEY)) == {take_object(KEY, RECORD)}


def test_a_story_that_was_changed_after_the_commit_is_seen(objects: Memory) -> None:
    told = json.loads(objects.read(take_object(KEY, STORY)).data)
    another = TakeRecord.from_json(told | {"samples": told["samples"] - 1})
    objects.write(take_object(KEY, STORY), [to_bytes(another.to_json())])
    assert named(verify(objects, KEY)) == {take_object(KEY, RECORD)}


@pytest.mark.parametrize("name", [RECORD, STORY])
@pytest.mark.parametrize("member", ["started_at", "seconds"])
def test_what_a_document_says_for_people_alone_is_checked_too(
    objects: Memory, name: str, member: str
) -> None:
    full = take_object(KEY, name)
    told = json.loads(objects.read(full).data)
    assert member in told
    objects.write(full, [to_bytes(told | {member: "2026-01-01T00:00:01.000Z"})])
    assert named(verify(objects, KEY)) == {full}


def test_files_made_for_another_version_of_the_meta_data_are_named(objects: Memory) -> None:
    meta = json.loads(objects.read(take_object(KEY, META)).data)
    objects.write(take_object(KEY, META), [to_bytes(meta | {"title": "New", "chapters": []})])
    assert {take_object(KEY, name) for name in (DERIVED, CHAPTERS, REPLAY_M4A)} | {entry_name(KEY)} == named(
        verify(objects, KEY)
    )


# ---- what digests cannot tell: files that were made wrongly ------------------------------------------------


def test_an_m4a_with_other_sound_than_the_fragments_is_named(objects: Memory) -> None:
    data = bytearray(objects.read(take_object(KEY, REPLAY_M4A)).data)
    flip(data, len(data) // 2)
    put_derived(objects, REPLAY_M4A, bytes(data))
    (problem,) = verify(objects, KEY).problems
    assert problem.name == take_object(KEY, REPLAY_M4A)
    assert "64k/0.mp4" in problem.what


@pytest.mark.parametrize(
    ("box", "offset"),
    [(b"mvhd", 19), (b"mdhd", 19), (b"elst", 11), (b"elst", 14), (b"stsz", 11), (b"stsc", 15)],
)
def test_an_m4a_of_another_length_or_with_wrong_tables_is_named(
    objects: Memory, box: bytes, offset: int
) -> None:
    data = bytearray(objects.read(take_object(KEY, REPLAY_M4A)).data)
    data[data.index(box) + 4 + offset] ^= 4
    put_derived(objects, REPLAY_M4A, bytes(data))
    assert named(verify(objects, KEY)) == {take_object(KEY, REPLAY_M4A)}


@pytest.mark.parametrize("size", [0, 7, 100, 3_000])
def test_an_m4a_that_ends_early_is_named_and_nothing_worse(objects: Memory, size: int) -> None:
    put_derived(objects, REPLAY_M4A, objects.read(take_object(KEY, REPLAY_M4A)).data[:size])
    assert named(verify(objects, KEY)) == {take_object(KEY, REPLAY_M4A)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("#EXT-X-BYTERANGE:", "#EXT-X-BYTERANGE:1"),
        ("15.mp4", "0.mp4"),
        ("#EXTINF:2.00533", "#EXTINF:1.00533"),
        ("#EXT-X-GAP\n", "#EXT-X-NOTHING\n"),
    ],
)
def test_a_playlist_whose_ranges_are_not_parts_in_their_time_is_named(
    objects: Memory, old: str, new: str
) -> None:
    name = f"64k/{REPLAY_M3U8}"
    text = objects.read(take_object(KEY, name)).data.decode()
    assert old in text
    put_derived(objects, name, text.replace(old, new, 1).encode())
    assert named(verify(objects, KEY)) == {take_object(KEY, name)}


def test_a_playlist_that_ends_early_is_named(objects: Memory) -> None:
    name = f"64k/{REPLAY_M3U8}"
    lines = objects.read(take_object(KEY, name)).data.decode().splitlines(keepends=True)
    put_derived(objects, name, "".join(lines[:-5]).encode())
    assert named(verify(objects, KEY)) == {take_object(KEY, name)}


@pytest.mark.parametrize("name", [CHAPTERS, PEAKS])
@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"chapters": []}', b"null"])
def test_a_file_without_its_sense_is_named(objects: Memory, name: str, data: bytes) -> None:
    put_derived(objects, name, data)
    assert named(verify(objects, KEY)) == {take_object(KEY, name)}


def test_chapters_that_begin_elsewhere_are_named(objects: Memory) -> None:
    document = json.loads(objects.read(take_object(KEY, CHAPTERS)).data)
    document["chapters"][0]["startTime"] += 0.01
    put_derived(objects, CHAPTERS, to_bytes(document))
    assert named(verify(objects, KEY)) == {take_object(KEY, CHAPTERS)}


def test_what_is_not_there_not_finished_or_deleted_is_not_found(objects: Memory) -> None:
    Finisher(objects, None, clock=lambda: 0.0).delete(KEY)
    assert objects.head(deleted_name(KEY)) is not None
    with pytest.raises(NotFound):
        verify(objects, KEY)
    archive(objects, header())
    with pytest.raises(NotFound):
        verify(objects, KEY)


def test_verifying_changes_nothing(objects: Memory) -> None:
    objects.delete([fragment_name(KEY, "64k", 0)])
    before = {info.name: info.etag for info in objects.list("")}
    verify(objects, KEY)
    assert {info.name: info.etag for info in objects.list("")} == before
