"""Stored bytes for many listeners at once: read in pieces, each checked against its digest before it is used.

A piece that was read is kept for a while, under its digest: what is asked for again is not read again, and
what has changed is another piece. Reads that wait, wait here, in the order of asking; they never fill the
threads of the storage, in which catalogues and documents are read too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from contracts.errors import ObjectDamaged, StorageUnavailable
from origin.collapse import Collapse
from origin.weighed import Weighed
from storage.objects import ObjectMissing, Objects
from storage.pooled import Pooled

CACHE_BYTES: Final = 64 * 2**20
# Threads hold a piece each while they read; a few more are ready to begin.
_AT_ONCE: Final = 12
# A storage has timeouts of its own; this one is for those who stand behind too many others.
_PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes [start, stop) of an object, and their SHA-256 in hex."""

    name: str
    start: int
    stop: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of an object: its size, its SHA-256, those of its pieces of `piece_size` bytes; in hex."""

    name: str
    size: int
    sha256: str
    digests: tuple[str, ...]
    piece_size: int

    @property
    def etag(self) -> str:
        """The strong ETag that listeners get."""
        return f'"{self.sha256[:32]}"'

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Those that hold the bytes [start, stop), in order."""
        for index in range(start // self.piece_size, -(-stop // self.piece_size)):
            begin = index * self.piece_size
            yield Piece(self.name, begin, min(begin + self.piece_size, self.size), self.digests[index])


class Reader:
    """Reads pieces of objects. `cache_bytes` bounds what is kept of them."""

    def __init__(self, objects: Objects, pooled: Pooled, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._objects = objects
        self._pooled = pooled
        self._kept: Weighed[str, bytes] = Weighed(cache_bytes)
        self._once: Collapse[Piece, bytes] = Collapse()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def piece(self, piece: Piece) -> bytes:
        """Exactly the bytes that `piece` names; whoever stops waiting for them costs no read.

        Raises ObjectDamaged where the storage has others or none, and StorageUnavailable.
        """
        kept = self._kept.get(piece.sha256)
        if kept is not None:
            return kept
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._once.run(piece, lambda: self._read(piece))
        except TimeoutError:
            raise StorageUnavailable("the storage is too slow: try again in a moment") from None

    async def whole(self, stored: Stored) -> bytes:
        """All bytes of a small object. Raises what `piece` does."""
        return b"".join([await self.piece(piece) for piece in stored.pieces(0, stored.size)])

    async def _read(self, piece: Piece) -> bytes:
        async with self._slots:
            data = await self._pooled.call(_checked, self._objects, piece)
        self._kept.put(piece.sha256, data, len(data))
        return data


def _checked(objects: Objects, piece: Piece) -> bytes:
    """In a thread: read, and compare."""
    try:
        data = objects.read(piece.name, piece.start, piece.stop).data
    except ObjectMissing:
        raise ObjectDamaged(f"{piece.name}: missing in the storage") from None
    except ValueError:  # it is shorter than that
        data = b""
    if sha256(data).hexdigest() != piece.sha256:
        raise ObjectDamaged(
            f"{piece.name}: bytes {piece.start} to {piece.stop} are not those that were stored"
        )
    return data
