"""The tables of a track whose samples are in `mdat` (ISO/IEC 14496-12, 8.6, 8.7 and 8.9)."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes.box import box, full_box

_MAX_32: Final = 0xFFFF_FFFF
_UNITY_RATE: Final = 0x1_0000
_EMPTY: Final = -1


class Edit(NamedTuple):
    """A stretch of the presentation: `duration` at the movie's timescale, from `media_time` at the media's.

    Without a `media_time` nothing is presented.
    """

    duration: int
    media_time: int | None


def edts(edits: Sequence[Edit]) -> bytes:
    """The edit list (8.6.6)."""
    entries = [(edit.duration, _EMPTY if edit.media_time is None else edit.media_time) for edit in edits]
    wide = max(max(entry) for entry in entries) >= _MAX_32 // 2
    body = b"".join(pack(">QqI" if wide else ">IiI", *entry, _UNITY_RATE) for entry in entries)
    return box(b"edts", full_box(b"elst", wide, 0, pack(">I", len(entries)), body))


def stts(runs: Sequence[tuple[int, int]]) -> bytes:
    """How long samples are (8.6.1.2): runs of (samples, ticks of each)."""
    return full_box(b"stts", 0, 0, pack(">I", len(runs)), *(pack(">II", *run) for run in runs))


def stsz(sizes: NDArray[np.uint32]) -> bytes:
    """The bytes of each sample (8.7.3.2)."""
    return full_box(b"stsz", 0, 0, pack(">II", 0, len(sizes)), sizes.astype(">u4").tobytes())


def stsc(samples: int, per_chunk: int) -> bytes:
    """How many samples the chunks hold (8.7.4): `per_chunk`, and the last one the rest."""
    whole, rest = divmod(samples, per_chunk)
    runs = [(1, per_chunk)] if whole else []
    if rest:
        runs.append((whole + 1, rest))
    return full_box(b"stsc", 0, 0, pack(">I", len(runs)), *(pack(">III", *run, 1) for run in runs))


def chunk_offsets(offsets: NDArray[np.int64], *, wide: bool) -> bytes:
    """Where the chunks begin in the file (8.7.5): `stco`, or `co64` for a file of more than 4 GiB."""
    body = offsets.astype(">u8" if wide else ">u4").tobytes()
    return full_box(b"co64" if wide else b"stco", 0, 0, pack(">I", len(offsets)), body)


def roll(samples: int) -> bytes:
    """To decode any sample right, the one before it is decoded too (10.1): `sgpd` and `sbgp`.

    What AAC's overlap asks for; Apple's players ask the file.
    """
    return full_box(b"sgpd", 1, 0, b"roll", pack(">IIh", 2, 1, -1)) + full_box(
        b"sbgp", 0, 0, b"roll", pack(">III", 1, samples, 1)
    )
