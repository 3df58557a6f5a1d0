"""The sound of a file, read ahead of time in a thread so that decoding delays nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from contracts.errors import UndecodableFile
from pipeline.decode import decode_pcm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class FileSource:
    """PCM of the file at `path` in order, as s16le with `channels` channels at 48 kHz; for ever if it loops.

    `position` counts the samples read or skipped. Reading raises UndecodableFile.
    """

    def __init__(self, path: Path, channels: int, *, loop: bool = False) -> None:
        self.position = 0
        self._path = path
        self._channels = channels
        self._loop = loop
        self._pieces: Iterator[NDArray[np.int16]] = iter(())
        self._rest: NDArray[np.int16] | None = None
        self._begun = False
        self._round = 0
        """Samples of the file's current round, to notice a file without sound."""

    async def read(self, samples: int) -> bytes:
        """The next samples, fewer at the file's end, none after it."""
        return await asyncio.to_thread(self._read, samples)

    async def skip(self, samples: int) -> None:
        """Leave samples out."""
        await asyncio.to_thread(self._skip, samples)

    def _read(self, samples: int) -> bytes:
        taken: list[bytes] = []
        missing = samples
        while missing > 0 and (piece := self._take(missing)) is not None:
            taken.append(piece.astype("<i2", copy=False).tobytes())
            missing -= len(piece)
        return b"".join(taken)

    def _skip(self, samples: int) -> None:
        while samples > 0 and (piece := self._take(samples)) is not None:
            samples -= len(piece)

    def _take(self, most: int) -> NDArray[np.int16] | None:
        """Some of the next samples, at least one: `None` at the end."""
        while self._rest is None or not len(self._rest):
            self._rest = next(self._pieces, None)
            if self._rest is None and not self._begin():
                return None
        piece, self._rest = self._rest[:most], self._rest[most:]
        self.position += len(piece)
        self._round += len(piece)
        return piece

    def _begin(self) -> bool:
        """Open the file, again if it loops; false at its end."""
        if self._begun and not self._round:
            raise UndecodableFile(f"{self._path}: there is no sound in it")
        if self._begun and not self._loop:
            return False
        self._begun = True
        self._round = 0
        self._pieces = decode_pcm(self._path, self._channels)
        return True
