"""The boxes of a file, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.boxes.chapter_text import chapter_reference, chpl, gmhd, text_entry, text_sample
from pipeline.boxes.movie import mdhd, mvhd, tkhd
from pipeline.boxes.tables import Edit, chunk_offsets, edts, roll, stsc, stsz, stts
from pipeline.boxes.tags import meta


def test_how_long_samples_are() -> None:
    assert stts([(2, 1024), (1, 7)]) == bytes.fromhex(
        "00000020 73747473 00000000 00000002 00000002 00000400 00000001 00000007"
    )


def test_sizes() -> None:
    assert stsz(np.array([4, 300], np.uint32)) == bytes.fromhex(
        "0000001c 7374737a 00000000 00000000 00000002 00000004 0000012c"
    )


@pytest.mark.parametrize(
    ("samples", "runs"),
    [
        (94, "00000001 00000001 0000002f 00000001"),
        (95, "00000002 00000001 0000002f 00000001 00000003 00000001 00000001"),
        (46, "00000001 00000001 0000002e 00000001"),
    ],
)
def test_samples_of_chunks(samples: int, runs: str) -> None:
    body = bytes.fromhex("73747363 00000000" + runs)
    assert stsc(samples, 47) == (len(body) + 4).to_bytes(4, "big") + body


def test_chunk_offsets_take_64_bits_where_they_have_to() -> None:
    offsets = np.array([48, 5000], np.int64)
    assert chunk_offsets(offsets, wide=False) == bytes.fromhex(
        "00000018 7374636f 00000000 00000002 00000030 00001388"
    )
    assert chunk_offsets(offsets + (1 << 32), wide=True) == bytes.fromhex(
        "00000020 636f3634 00000000 00000002 00000001 00000030 00000001 00001388"
    )


def test_an_edit_list_takes_64_bits_where_it_has_to() -> None:
    assert edts([Edit(480, None), Edit(96_000, 1024)]) == bytes.fromhex(
        "00000030 65647473 00000028 656c7374 00000000 00000002"
        "000001e0 ffffffff 00010000 00017700 00000400 00010000"
    )
    assert edts([Edit(1 << 32, 1024)]) == bytes.fromhex(
        "0000002c 65647473 00000024 656c7374 01000000 00000001 00000001 00000000 00000000 00000400 00010000"
    )


def test_every_access_unit_wants_the_one_before_it() -> None:
    assert roll(95) == bytes.fromhex(
        "0000001a 73677064 01000000 726f6c6c 00000002 00000001 ffff"
        "0000001c 73626770 00000000 726f6c6c 00000001 0000005f 00000001"
    )


def test_headers_take_64_bits_where_they_have_to() -> None:
    long = 1 << 32
    assert mdhd(48_000, long) == bytes.fromhex(
        "0000002c 6d646864 01000000 00000000 00000000 00000000 00000000 0000bb80 00000001 00000000 55c4 0000"
    )
    assert len(mdhd(48_000, long - 1)) == 0x20
    assert len(mvhd(long, 1)) == len(mvhd(long - 1, 1)) + 12
    assert len(tkhd(1, long, 7)) == len(tkhd(1, long - 1, 7)) + 12
    assert mvhd(long, 1)[28:40] == bytes.fromhex("0000bb80 00000001 00000000")
    assert tkhd(1, long, 7)[28:44] == bytes.fromhex("00000001 00000000 00000001 00000000")


def test_neros_chapters() -> None:
    # 48000 samples are 10,000,000 units; 1 sample is 208.33 of them.
    assert chpl([(1, "a"), (48_000, "é")]) == bytes.fromhex(
        "00000026 6368706c 01000000 00000000 0200000000000000d0 01 610000000000989680 02 c3a9"
    )


def test_neros_chapters_are_255_at_most_with_255_bytes_each() -> None:
    box = chpl([(n, "€" * 100) for n in range(300)])
    assert box[16] == 255
    entry = 8 + 1 + 255
    assert len(box) == 17 + 255 * entry
    for at in range(17, len(box), entry):
        assert box[at + 8] == 255
        assert box[at + 9 : at + entry].decode() == "€" * 85
    # A character that does not fit whole is left out.
    assert chpl([(0, "a" * 254 + "é")])[25] == 254


def test_the_text_of_a_chapter() -> None:
    assert text_sample("é") == bytes.fromhex("0002 c3a9 0000000c 656e6364 00000100")
    assert text_sample("") == bytes.fromhex("0000 0000000c 656e6364 00000100")


def test_the_text_track_is_described() -> None:
    # 60 bytes: header, data reference 1, and 44 of looks: no flags, no colours, no font.
    assert text_entry() == bytes.fromhex("0000003c 74657874 000000000000 0001" + "00" * 44)
    assert chapter_reference(2) == bytes.fromhex("00000014 74726566 0000000c 63686170 00000002")
    assert gmhd() == bytes.fromhex(
        "0000004c 676d6864 00000018 676d696e 00000000 0040 8000 8000 8000 0000 0000"
        "0000002c 74657874 00010000 00000000 00000000 00000000 00010000 00000000 00000000 00000000 40000000"
    )


def test_tags() -> None:
    assert meta({b"\xa9nam": "é", b"pcst": 1}) == bytes.fromhex(
        "00000068 6d657461 00000000"
        "00000021 68646c72 00000000 00000000 6d646972 6170706c 00000000 00000000 00"
        "0000003b 696c7374"
        "0000001a a96e616d 00000012 64617461 00000001 00000000 c3a9"
        "00000019 70637374 00000011 64617461 00000015 00000000 01"
    )
