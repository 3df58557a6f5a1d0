"""The bytes a window holds, each part once: a segment is served as the concatenation of its parts."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.position import Position


class MediaStore:
    """Parts by segment. Bytes that were taken are never replaced, only dropped."""

    def __init__(self) -> None:
        self._whole: dict[int, tuple[bytes, ...]] = {}
        self._broken: dict[int, tuple[bytes, ...]] = {}
        self._open: list[bytes] = []
        self.size = 0
        """Bytes held."""

    @property
    def open_parts(self) -> Sequence[bytes]:
        """The parts of the open segment so far."""
        return self._open

    def append(self, data: bytes) -> None:
        """Add the open segment's next part."""
        self._open.append(data)
        self.size += len(data)

    def close(self, msn: int) -> None:
        """The open segment is whole, and is `msn`."""
        self._whole[msn] = tuple(self._open)
        self._open = []

    def break_off(self, msn: int) -> None:
        """The open segment, `msn`, will not go on. Its parts had been listed, so they are still held."""
        self._broken[msn] = tuple(self._open)
        self._open = []

    def whole(self, msn: int) -> tuple[bytes, ...] | None:
        """The parts of a whole segment."""
        return self._whole.get(msn)

    def part(self, position: Position) -> bytes | None:
        """A part of a closed segment, whole or broken off."""
        parts = self._whole.get(position.msn) or self._broken.get(position.msn, ())
        return parts[position.part] if 0 <= position.part < len(parts) else None

    def drop(self, msn: int) -> None:
        """Forget a closed segment."""
        for shelf in (self._whole, self._broken):
            self.size -= sum(map(len, shelf.pop(msn, ())))
