"""One part: `moof` + `mdat` with a run of AAC access units (ISO/IEC 14496-12, 8.8).

`trun` holds nothing but the sizes; duration and flags are the same for every access unit, and so are defaults
in `tfhd` (as in `trex` of the header; CMAF, 7.7, wants them in each fragment of the stricter `cmf2`).
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, pack
from typing import TYPE_CHECKING, Final

from pipeline.boxes.box import HEADER_SIZE, box, full_box
from pipeline.grid import FRAME, MAX_SEGMENT_FRAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts.position import Position

TRACK_ID: Final = 1
# sample_depends_on = 2: depends on no other sample. Not sample_is_non_sync_sample (8.8.3.1).
SYNC_SAMPLE: Final = 0x0200_0000
# default-sample-duration-present, default-sample-flags-present, default-base-is-moof (8.8.7).
TFHD_FLAGS: Final = 0x02_0028
# data-offset-present, sample-size-present (8.8.8).
TRUN_FLAGS: Final = 0x00_0201
TFHD: Final = Struct(">III")
"""track_ID, default_sample_duration, default_sample_flags."""
TRUN: Final = Struct(">Ii")
"""sample_count, data_offset; the sizes follow."""
_TFHD_BOX: Final = full_box(b"tfhd", 0, TFHD_FLAGS, TFHD.pack(TRACK_ID, FRAME, SYNC_SAMPLE))
# moof, mfhd, traf, tfhd, tfdt and trun, without the sizes of the samples.
HEAD_SIZE: Final = 8 + 16 + 8 + len(_TFHD_BOX) + 20 + 20
"""Bytes of a part before the sizes of its access units."""
FIRST_FRAME_TIME: Final = slice(8 + 16 + 8 + len(_TFHD_BOX) + 12, 8 + 16 + 8 + len(_TFHD_BOX) + 20)
"""Where in them `tfdt` says the first sample."""
_SEQUENCE: Final = slice(8 + 12, 8 + 16)


def sequence_number(position: Position, parts: int) -> int:
    """`mfhd`'s sequence number of a part: counts the parts of the grid from 1, in 32 bits."""
    return (position.msn * parts + position.part + 1) & 0xFFFF_FFFF


def write_part(access_units: Sequence[bytes], first_frame: int, sequence: int) -> bytes:
    """`moof` + `mdat` with `access_units`, the first of which decodes to `first_frame`.

    `tfdt` is 64 bits wide and counts samples from the take's epoch (timescale 48000).
    """
    count = len(access_units)
    trun = full_box(
        b"trun",
        0,
        TRUN_FLAGS,
        TRUN.pack(count, HEAD_SIZE + 4 * count + HEADER_SIZE),
        pack(f">{count}I", *map(len, access_units)),
    )
    tfdt = full_box(b"tfdt", 1, 0, (FRAME * first_frame).to_bytes(8, "big"))
    mfhd = full_box(b"mfhd", 0, 0, sequence.to_bytes(4, "big"))
    return box(b"moof", mfhd, box(b"traf", _TFHD_BOX, tfdt, trun)) + box(b"mdat", *access_units)


def part_head(frames: int, first_frame: int, sequence: int) -> bytes:
    """The first `HEAD_SIZE` bytes that `write_part` gives any `frames` access units."""
    before, between, after = _head_pieces(frames)
    return before + sequence.to_bytes(4, "big") + between + (FRAME * first_frame).to_bytes(8, "big") + after


@lru_cache(maxsize=MAX_SEGMENT_FRAMES)
def _head_pieces(frames: int) -> tuple[bytes, bytes, bytes]:
    head = write_part([b""] * frames, 0, 0)[:HEAD_SIZE]
    time = FIRST_FRAME_TIME
    return head[: _SEQUENCE.start], head[_SEQUENCE.stop : time.start], head[time.stop :]
