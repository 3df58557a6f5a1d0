"""Runs of samples: sound as the bytes that were appended, or silence as a length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Run(NamedTuple):
    """Samples [start, stop): sound (s16le, interleaved), or silence where `pcm` is `None`."""

    start: int
    stop: int
    pcm: bytes | None


def joined(runs: Iterable[Run], start: int, sound: int, width: int) -> list[Run]:
    """What of successive `runs` lies from sample `start` on; `width` is the bytes of a sample.

    Neighbours of sound are one run. It ends after at most `sound` samples of sound.
    """
    whole: list[Run] = []
    pieces: list[bytes] = []
    begin = end = start
    for run in runs:
        at = max(start, run.start)
        if run.pcm is None:
            if pieces:
                whole.append(Run(begin, end, b"".join(pieces)))
                pieces = []
            whole.append(Run(at, run.stop, None))
            continue
        if sound <= 0:
            break
        if not pieces:
            begin = at
        end = min(run.stop, at + sound)
        sound -= end - at
        if end - at == run.stop - run.start:
            pieces.append(run.pcm)
        else:
            pieces.append(run.pcm[(at - run.start) * width : (end - run.start) * width])
    if pieces:
        whole.append(Run(begin, end, b"".join(pieces)))
    return whole
