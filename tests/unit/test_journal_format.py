from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.journal_format import MAGIC, Record, RecordKind, Unpacker, pack, scan

RECORDS = [
    Record(RecordKind.HEADER, b"{}"),
    Record(RecordKind.PART, b"moof" * 9, 1, 7, 3),
    Record(RecordKind.GAP, b"", 1, 8),
    Record(RecordKind.PART, MAGIC * 3, 0, 9, 0),  # a payload may hold anything
]


def test_a_record_as_bytes() -> None:
    assert pack([Record(RecordKind.PART, b"ab", 1, 2, 3)]) == bytes.fromhex(
        "4c574a31"  # LWJ1
        "03"
        "01"
        "0003"  # a part, of the second rendition, number 3 in its segment
        "0000000000000002"  # of segment 2
        "00000002"  # two bytes
        "e6b2d081"  # CRC-32 of all that stands before it and of the payload
        "6162"
    )


record = st.builds(
    Record,
    st.sampled_from(RecordKind),
    st.binary(max_size=64),
    st.integers(0, 255),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**16 - 1),
)


@given(st.lists(record, max_size=8))
def test_what_was_packed_is_read(records: list[Record]) -> None:
    data = pack(records)
    result = scan(data)
    assert result.records == tuple(records)
    assert (result.good_end, result.damaged) == (len(data), 0)
    assert len(data) == sum(one.size for one in records)


@given(st.lists(record, max_size=5), st.data())
def test_a_torn_tail_is_left_out(records: list[Record], data: st.DataObject) -> None:
    whole = pack([*records, Record(RecordKind.PART, b"torn" * 8)])
    cut = data.draw(st.integers(len(pack(records)), len(whole) - 1))
    result = scan(whole[:cut])
    assert result.records == tuple(records)
    assert result.good_end == len(pack(records))


@pytest.mark.parametrize("at", [0, 4, 5, 9, 17, 21, 26])
def test_damage_costs_the_record_that_it_lies_in(at: int) -> None:
    data = bytearray(pack(RECORDS))
    second = RECORDS[0].size
    data[second + at] ^= 0x40
    result = scan(bytes(data))
    assert result.records == (RECORDS[0], *RECORDS[2:])
    assert result.damaged == RECORDS[1].size


@given(st.binary(max_size=300))
def test_garbage_is_no_record(data: bytes) -> None:
    assert scan(data).records == ()


@given(st.lists(record, max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_what_comes_over_a_line_in_pieces_is_read(records: list[Record], sizes: list[int]) -> None:
    unpacker = Unpacker(64)
    data, came, at, turn = pack(records), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        came += unpacker.push(data[at : at + size])
        at, turn = at + size, turn + 1
    assert came == records


@pytest.mark.parametrize(
    "data",
    [
        b"<html>" * 10,
        pack([Record(RecordKind.PART, b"x" * 65)])[:30],
        pack(RECORDS).replace(b"moof", b"foom", 1),
        pack(RECORDS)[:24] + b"?" + pack(RECORDS)[24:],
    ],
    ids=["something else", "a record without end", "damage", "a byte between"],
)
def test_nothing_that_comes_over_a_line_is_stepped_over(data: bytes) -> None:
    with pytest.raises(ValueError, match="record"):
        Unpacker(64).push(data)
