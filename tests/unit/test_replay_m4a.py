"""`replay.m4a`, inspected to the last byte by a reader that knows nothing of the writer."""

from __future__ import annotations

import struct
from functools import cache

import numpy as np
import pytest

from contracts.errors import MalformedMedia
from contracts.position import Position
from pipeline.aac import SegmentEncoder, fed_frames
from pipeline.boxes import access_units, sequence_number, write_part
from pipeline.grid import FRAME, Grid, first_frame, first_sample, frame_count
from pipeline.replay.chapters import Mark, chapters_json
from pipeline.replay.fragment_index import FragmentIndex
from pipeline.replay.m4a import M4a
from pipeline.replay.movie import CHUNK_UNITS, Tags
from pipeline.replay.silence import silent_unit
from storage.documents import to_bytes
from tests.archived import TAGS, Archived
from tests.mp4_walk import Mp4

GRID = Grid(5)
SILENT = silent_unit(1)


def written(samples: int, *, channels: int = 1, parts: int = 5) -> Archived:
    """A take whose access units all differ, and their sizes do too."""
    grid = Grid(parts)
    archived = Archived.empty(samples, channels=channels, parts=parts)
    position = Position(0, 0)
    while position < grid.end_of(samples):
        frames = grid.part_frames(position)
        units = [f"<{frame}>".encode() * (1 + frame % 5) for frame in frames]
        archived.parts[position] = write_part(units, frames.start, sequence_number(position, parts))
        position = grid.after(position)
    return archived


def units_of(archived: Archived) -> list[bytes]:
    """What the file must hold, frame by frame."""
    silent = silent_unit(archived.settings.channels)
    units = [silent] * -(-archived.samples // FRAME)
    for position, data in archived.parts.items():
        for frame, unit in zip(archived.grid.part_frames(position), access_units(data), strict=True):
            if frame < len(units):
                units[frame] = unit
    return [silent, *units]


@pytest.mark.parametrize("samples", [1, FRAME, FRAME + 1, 50 * FRAME, 95_000, 96_257, first_sample(31) + 5])
@pytest.mark.parametrize("marks", [(), (Mark(0, "only"),)])
def test_the_file_is_the_access_units_in_order(samples: int, marks: tuple[Mark, ...]) -> None:
    archived = written(samples)
    walked = Mp4(archived.m4a(marks))
    assert walked.sample_bytes(0) == units_of(archived)
    sound = walked.tracks[0]
    assert (sound.number, sound.enabled, sound.handler) == (1, True, b"soun")
    assert (sound.timescale, sound.movie_duration) == (48_000, samples)
    assert {sample[3] for sample in sound.samples} == {FRAME}
    # One access unit before that of frame 0, which the edit list leaves out; the end is where the take ends.
    assert sound.edits == ((samples, FRAME),)
    assert 0 <= sound.duration - FRAME - samples < FRAME
    assert sound.chunks == -(-len(sound.samples) // CHUNK_UNITS)
    assert len(walked.tracks) == 1 + len(marks)
    stbl = walked.moov.all(b"trak")[0].find(b"mdia", b"minf", b"stbl")
    group = walked.body(stbl.find(b"sbgp"))
    assert group[4:] == b"roll" + struct.pack(">III", 1, len(sound.samples), 1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("parts", [1, 10])
def test_frames_that_are_missing_are_silent(channels: int, parts: int) -> None:
    whole = written(first_sample(50) - 100, channels=channels, parts=parts)
    # The beginning, a part here and there, more than a fragment, and the end.
    archived = whole.without(
        lambda at: at.msn in {0, *range(12, 33), 48, 49} or (at.msn % 3 == 0 and at.part != parts // 2)
    )
    walked = Mp4(archived.m4a())
    assert walked.sample_bytes(0) == units_of(archived)
    assert walked.sample_bytes(0).count(silent_unit(channels)) > 23 * 93


def test_a_take_of_which_nothing_is_there_is_silent() -> None:
    archived = Archived.empty(first_sample(2))
    assert Mp4(archived.m4a()).sample_bytes(0) == [SILENT] * (1 + first_frame(2))
    file = M4a(1, [], 200_000 * FRAME, [], TAGS)
    chunks = [*file.chunks(lambda _: b"")]
    assert sum(map(len, chunks)) == file.size
    assert max(map(len, chunks)) < 1_100_000


def test_a_take_without_a_sample_is_a_file_all_the_same() -> None:
    walked = Mp4(Archived.empty(0).m4a())
    assert walked.tracks[0].edits == ((0, FRAME),)
    assert walked.sample_bytes(0) == [SILENT]


def test_parts_after_the_end_are_left_out() -> None:
    archived = written(first_sample(20))
    ended = Archived(archived.settings, first_sample(3) + 5 * FRAME, archived.parts)
    assert Mp4(ended.m4a()).sample_bytes(0) == units_of(archived)[: 1 + first_frame(3) + 5]


def test_fragments_are_read_once_in_order_and_only_where_they_are_heard() -> None:
    archived = written(first_sample(50)).without(lambda at: 15 <= at.msn < 30)
    asked = []
    fragments = archived.fragments

    def read(msn: int) -> bytes:
        asked.append(msn)
        return fragments[msn]

    file = M4a(1, archived.indexes, first_sample(44), [], TAGS)
    sizes = [(len(asked), len(chunk)) for chunk in file.chunks(read)]
    assert asked == [0, 30]
    # The header before anything is read, then each fragment as one chunk, as far as it is heard.
    assert sizes[0][0] == 0
    units = [len(unit) for unit in units_of(archived)[1:]]
    assert [size for count, size in sizes if count][:3] == [
        sum(units[: first_frame(15)]),
        len(SILENT) * (first_frame(30) - first_frame(15)),
        sum(units[first_frame(30) : first_frame(44)]),
    ]


def test_a_fragment_of_another_length_is_refused() -> None:
    archived = written(first_sample(2))
    file = M4a(1, archived.indexes, archived.samples, [], TAGS)
    with pytest.raises(MalformedMedia, match="fragment 0"):
        b"".join(file.chunks(lambda msn: archived.fragments[msn][:-1]))


def test_equal_arguments_are_equal_bytes() -> None:
    archived = written(first_sample(17))
    marks = [Mark(0, "a"), Mark(500, "b")]
    assert archived.m4a(marks) == archived.m4a(marks)
    assert archived.m4a(marks) != archived.m4a([Mark(0, "a"), Mark(501, "b")])


def test_things_out_of_order_are_refused() -> None:
    indexes = written(first_sample(31)).indexes
    with pytest.raises(ValueError, match="not in order"):
        M4a(1, indexes[::-1], first_sample(31), [], TAGS)
    with pytest.raises(ValueError, match="not in order"):
        M4a(1, [indexes[0], indexes[0]], first_sample(31), [], TAGS)
    for samples in ([5, 5], [7, 5], [-1], [1000]):
        with pytest.raises(ValueError, match="chapters"):
            M4a(1, indexes, 1000, [Mark(sample, "x") for sample in samples], TAGS)


def texts(walked: Mp4) -> list[str]:
    found = []
    for sample in walked.sample_bytes(1):
        size = int.from_bytes(sample[:2], "big")
        assert sample[2 + size :] == bytes.fromhex("0000000c 656e6364 00000100")
        found.append(sample[2 : 2 + size].decode())
    return found


def test_chapters_are_a_track_that_is_not_played() -> None:
    marks = [Mark(0, "Ünï 🎙"), Mark(48_000, "日本"), Mark(100_001, "x" * 3000)]
    walked = Mp4(written(200_000).m4a(marks))
    sound, chapters = walked.tracks
    assert sound.chapters == chapters.number == 2
    assert (chapters.enabled, chapters.handler, chapters.timescale) == (False, b"text", 48_000)
    assert texts(walked) == [mark.title for mark in marks]
    assert [sample[2] for sample in chapters.samples] == [0, 48_000, 100_001]
    assert (chapters.duration, chapters.movie_duration) == (200_000, 200_000)
    assert chapters.edits == ((200_000, 0),)


def test_what_is_before_the_first_chapter_is_in_none() -> None:
    chapters = Mp4(written(200_000).m4a([Mark(30_000, "a"), Mark(199_999, "b")])).tracks[1]
    assert chapters.edits == ((30_000, -1), (170_000, 0))
    assert [sample[2] for sample in chapters.samples] == [0, 169_999]


def test_a_thousand_chapters() -> None:
    marks = [Mark(96 * n, f"Kapitel {n}: größer") for n in range(1_000)]
    walked = Mp4(written(100_000).m4a(marks))
    assert texts(walked) == [mark.title for mark in marks]
    chpl = walked.body(walked.moov.find(b"udta", b"chpl"))
    assert chpl[8] == 255


def test_tags_that_are_empty_are_left_out() -> None:
    walked = Mp4(written(1).m4a(tags=Tags("T", "", "R", "2026-01-02")))
    ilst = walked.moov.find(b"udta", b"meta", b"ilst")
    kinds = [item.kind for item in ilst.children]
    assert kinds == [b"\xa9nam", b"\xa9alb", b"\xa9day", b"\xa9gen", b"\xa9too", b"pcst", b"stik"]
    commented = Mp4(written(1).m4a(tags=Tags("T", "A", "R", "2026-01-02", "C")))
    items = {
        item.kind: commented.body(item)[16:]
        for item in commented.moov.find(b"udta", b"meta", b"ilst").children
    }
    assert items[b"\xa9cmt"] == b"C"
    assert items[b"aART"] == items[b"\xa9ART"] == b"A"
    assert items[b"stik"] == b"\x15"


def test_bit_rates_are_those_of_the_access_units() -> None:
    archived = written(first_sample(10))
    walked = Mp4(archived.m4a())
    mp4a = walked.moov.find(b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4a")
    # ES_Descriptor (5), DecoderConfigDescriptor's first 7 bytes after the full box's 4.
    peak, average = struct.unpack_from(">II", walked.body(mp4a.find(b"esds")), 4 + 5 + 7)
    sizes = [len(unit) for unit in units_of(archived)]
    assert average == -(-sum(sizes) * 8 * 48_000 // (len(sizes) * FRAME))
    seconds = [sum(sizes[at : at + 47]) for at in range(len(sizes) - 46)]
    assert peak == pytest.approx(max(seconds) * 8 * 48_000 / (47 * FRAME), abs=1)


@cache
def long_index(hours: int, unit: int) -> tuple[FragmentIndex, ...]:
    """The fragments of so many hours, all of whose access units have `unit` bytes."""
    indexes = []
    for msn in range(0, hours * 1800, 15):
        rows, at = [], 0
        for segment in range(msn, msn + 15):
            size = 96 + 4 * frame_count(segment) + 8 + unit * frame_count(segment)
            rows.append((segment, 0, first_frame(segment), frame_count(segment), at, at + size))
            at += size
        count = first_frame(msn + 15) - first_frame(msn)
        indexes.append(FragmentIndex(msn, np.array(rows, np.int64), np.full(count, unit, np.uint32)))
    return tuple(indexes)


def header_of(file: M4a) -> bytes:
    """The first chunk: everything before the access units."""
    return next(file.chunks(lambda _: b""))


@pytest.mark.parametrize(("unit", "wide"), [(170, False), (1_400, True)])
def test_25_hours_and_more_than_4_gib(unit: int, wide: bool) -> None:
    samples = 25 * 3600 * 48_000 - 5
    title = "the last word"
    file = M4a(1, long_index(25, unit), samples, [Mark(0, "a"), Mark(samples - 4_800, title)], TAGS)
    head = header_of(file)
    units = -(-samples // FRAME)
    start = len(head) - len(SILENT)
    assert file.size == len(head) + units * unit
    assert (b"co64" in head, b"stco" in head) == (wide, not wide)
    # The last chunk's offset, at the end of the sound's table, before `sgpd`.
    entry = 8 if wide else 4
    end = head.index(b"sgpd") - 4
    chunk = (1 + units - 1) // CHUNK_UNITS
    assert int.from_bytes(head[end - entry : end], "big") == start + 4 + (chunk * CHUNK_UNITS - 1) * unit
    # The chapter's track: 48,000 ticks a second do not fit 32 bits any more.
    mdat = head.rindex(b"mdat")
    size = (
        int.from_bytes(head[mdat + 4 : mdat + 12], "big")
        if wide
        else int.from_bytes(head[mdat - 4 : mdat], "big")
    )
    assert size == file.size - (mdat - 4)
    assert struct.pack(">II", 1, 4_800 // 100) in head[head.rindex(b"stts") :]
    assert title.encode() in head


def test_an_hour_is_read_back_whole() -> None:
    file = M4a(1, long_index(1, 100), 3_600 * 48_000, [Mark(0, "a")], TAGS)
    data = header_of(file) + bytes(100 * first_frame(1_800))
    assert len(data) == file.size
    assert len(Mp4(data).tracks[0].samples) == 168_751


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("bit_rate", [16_000, 64_000, 192_000])
def test_silence_is_what_the_encoder_makes_of_zeros(channels: int, bit_rate: int) -> None:
    zeros = np.zeros((channels, FRAME * len(fed_frames(3))), np.float32)
    assert set(SegmentEncoder(3, channels, bit_rate).push(zeros)) == {silent_unit(channels)}


def test_chapters_json() -> None:
    marks = [Mark(0, "Ünï"), Mark(48_001, ""), Mark(96_000, "c")]
    assert chapters_json(marks, 100_000) == {
        "version": "1.2.0",
        "chapters": [
            {"startTime": 0.0, "title": "Ünï", "endTime": 1.00002},
            {"startTime": 1.00002, "title": "", "endTime": 2.0},
            {"startTime": 2.0, "title": "c", "endTime": 2.08333},
        ],
    }
    assert chapters_json([], 5) == {"version": "1.2.0", "chapters": []}
    assert b"1.00002" in to_bytes(chapters_json(marks, 100_000))
