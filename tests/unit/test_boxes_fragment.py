import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from contracts.errors import MalformedMedia
from contracts.position import Position
from pipeline.boxes import (
    PartBox,
    access_units,
    read_init,
    read_part,
    sequence_number,
    split_parts,
    write_part,
)
from pipeline.boxes.box import box, expect, find, walk

# Frames 7 and 8, sequence number 9, access units "abc" and "de".
PART = bytes.fromhex(
    "00000068 6d6f6f66"
    "00000010 6d666864 00000000 00000009"
    "00000050 74726166"
    # tfhd: default-base-is-moof, default duration 1024, default flags: depends on no other sample
    "00000018 74666864 00020028 00000001 00000400 02000000"
    # tfdt, 64 bits: 7168
    "00000014 74666474 01000000 0000000000001c00"
    # trun: two samples, their data 112 bytes from the moof's start, 3 and 2 bytes long
    "0000001c 7472756e 00000201 00000002 00000070 00000003 00000002"
    "0000000d 6d646174 6162636465"
)
units = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=94)


def test_part_byte_for_byte() -> None:
    assert write_part([b"abc", b"de"], 7, 9) == PART


def test_part_is_read_back() -> None:
    assert read_part(PART) == PartBox(first_frame=7, frames=2, sequence=9)
    assert access_units(PART) == [b"abc", b"de"]


def test_time_is_64_bits_wide() -> None:
    # After 25 hours 32 bits of samples are full.
    part = write_part([b"x"], 93_750_000, 1)
    assert (96_000_000_000).to_bytes(8, "big") in part
    assert read_part(part).first_frame == 93_750_000


@pytest.mark.parametrize(
    ("position", "parts", "number"),
    [((0, 0), 5, 1), ((0, 4), 5, 5), ((1, 0), 5, 6), ((7, 3), 10, 74), (((1 << 32) // 4, 2), 4, 3)],
)
def test_sequence_numbers_count_the_parts_of_the_grid(
    position: tuple[int, int], parts: int, number: int
) -> None:
    assert sequence_number(Position(*position), parts) == number


@given(units, st.integers(0, 2**53), st.integers(0, 2**32 - 1))
def test_what_is_written_is_read_back(payload: list[bytes], first_frame: int, sequence: int) -> None:
    data = write_part(payload, first_frame, sequence)
    assert read_part(data) == PartBox(first_frame, len(payload), sequence)
    assert access_units(data) == payload


def test_a_segment_is_split_into_its_parts() -> None:
    parts = [write_part([b"abc", b"de"], 7, 9), write_part([b"f"], 9, 10), write_part([b"g", b"h"], 10, 11)]
    assert split_parts(b"".join(parts)) == parts


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (b"", "1 to 10 times"),
        (PART[:0x68], "1 to 10 times"),
        (PART + PART[:0x68], "1 to 10 times"),
        (PART + PART, "after the part before: 7, wanted 9"),
        (PART + write_part([b"f"], 10, 10), "after the part before: 10, wanted 9"),
        (b"".join(write_part([b"x"], k, k) for k in range(11)), "1 to 10 times"),
        (box(b"free") * 2, "wanted moof"),
    ],
)
def test_a_segment_that_is_not_parts_in_a_row_is_malformed(segment: bytes, reason: str) -> None:
    with pytest.raises(MalformedMedia, match=reason):
        split_parts(segment)


def test_part_cut_off_anywhere_is_malformed() -> None:
    for length in range(len(PART)):
        with pytest.raises(MalformedMedia):
            read_part(PART[:length])


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0x03, 0x69, "box at byte|claims"),
        (0x03, 0x00, "claims 0 bytes"),
        (0x03, 0x01, "claims 1 bytes"),
        (0x04, 0x4D, "wanted moof"),
        (0x13, 0x01, "mfhd: version and flags"),
        (0x2A, 0x03, "tfhd: version and flags"),
        (0x2F, 0x02, "tfhd: track"),
        (0x32, 0x03, "tfhd: default duration"),
        (0x34, 0x01, "tfhd: default flags"),
        (0x40, 0x00, "tfdt: version and flags"),
        (0x4B, 0x01, "not the start of a frame"),
        (0x57, 0x00, "trun: version and flags"),
        (0x5B, 0x00, "trun: 0 frames"),
        (0x5B, 0x5F, "trun: 95 frames"),
        (0x5B, 0x03, "trun: size"),
        (0x5F, 0x71, "trun: data offset"),
        (0x63, 0x00, "access unit without bytes"),
        (0x67, 0x03, "6 bytes of samples, mdat: 5"),
    ],
)
def test_part_with_one_wrong_byte_is_malformed(offset: int, value: int, reason: str) -> None:
    data = bytearray(PART)
    data[offset] = value
    with pytest.raises(MalformedMedia, match=reason):
        read_part(bytes(data))


def test_bytes_after_a_part_are_malformed() -> None:
    with pytest.raises(MalformedMedia, match=r"moof\+mdat\+free"):
        read_part(PART + box(b"free"))


@given(
    st.binary(max_size=200)
    | st.builds(lambda a, b: PART[:a] + b + PART[a:], st.integers(0, 117), st.binary())
)
@example(b"\x00\x00\x00\x08moof\x00\x00\x00\x08mdat")
def test_hostile_bytes_are_malformed_and_nothing_worse(data: bytes) -> None:
    assume(data != PART)
    for read in (read_part, access_units, split_parts, read_init):
        with pytest.raises(MalformedMedia) as raised:
            read(data)
        assert raised.value.message.isascii()
        assert raised.value.message.isprintable()


@given(st.lists(st.tuples(st.integers(0, len(PART) - 1), st.integers(0, 255)), max_size=4))
def test_a_part_that_passes_is_one_that_we_would_have_written(changes: list[tuple[int, int]]) -> None:
    data = bytearray(PART)
    for offset, value in changes:
        data[offset] = value
    try:
        part = read_part(bytes(data))
    except MalformedMedia:
        return
    assert write_part(access_units(bytes(data)), part.first_frame, part.sequence) == data


def test_boxes_are_walked_and_found() -> None:
    data = box(b"aaaa", b"12") + box(b"bbbb")
    assert [(span.kind, data[span.start : span.stop]) for span in walk(data, 0, len(data))] == [
        (b"aaaa", b"12"),
        (b"bbbb", b""),
    ]
    assert [span.kind for span in expect(data, 0, len(data), b"aaaa", b"bbbb")] == [b"aaaa", b"bbbb"]
    assert find(data, 0, len(data), b"bbbb").start == 18
    with pytest.raises(MalformedMedia, match="wanted bbbb, found aaaa"):
        expect(data, 0, len(data), b"bbbb")
    with pytest.raises(MalformedMedia, match="wanted one cccc, found 0"):
        find(data, 0, len(data), b"cccc")
