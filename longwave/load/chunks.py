"""Chunked bodies (RFC 9112 7.1)."""

from __future__ import annotations

from typing import Final

_LINE_END: Final = b"\r\n"
_LONGEST_LINE: Final = 64 * 1024


class Chunks:
    """One body, as its bytes come."""

    def __init__(self) -> None:
        self._held = b""
        self._left = 0  # of a chunk, with the line end after it
        self._trailer = False

    def push(self, data: bytes) -> tuple[list[bytes], bool, bool]:
        """The body's bytes in `data`; whether that was all; whether something came after it.

        Raises ValueError where it is not chunked.
        """
        data, self._held = self._held + data, b""
        found: list[bytes] = []
        at = 0
        while True:
            if self._left:
                if piece := data[at : at + max(0, self._left - len(_LINE_END))]:
                    found.append(piece)
                taken = min(self._left, len(data) - at)
                at, self._left = at + taken, self._left - taken
            end = -1 if self._left else data.find(_LINE_END, at)
            if end < 0:
                self._held = data[at:]
                if len(self._held) > _LONGEST_LINE:
                    raise ValueError("a line without an end")
                return found, False, False
            line, at = data[at:end], end + len(_LINE_END)
            if self._line(line):
                return found, True, at < len(data)

    def _line(self, line: bytes) -> bool:
        """A line that is no chunk's: its size, or of the trailer. Returns whether it is the last."""
        if self._trailer:
            return not line
        size = int(line.partition(b";")[0], 16)
        if size < 0:
            raise ValueError("less than nothing")
        self._trailer = size == 0
        self._left = size + len(_LINE_END) if size else 0
        return False
