"""What one listener plays: pieces in their order, a buffer, and the moments without sound."""

from __future__ import annotations

from collections import deque

from longwave.load.buffer import Buffer
from longwave.load.playlists import Piece
from longwave.load.tally import Tally


class Playback:
    """From pieces that come in any order to sound in the right one. Times are monotonic seconds."""

    __slots__ = ("_began", "_buffer", "_got", "_order", "_rebuffered", "_tally", "_zero")

    def __init__(self, tally: Tally, began: float) -> None:
        self._tally = tally
        self._began = began
        self._buffer = Buffer()
        self._order: deque[Piece] = deque()
        self._got: set[tuple[int, int]] = set()
        self._zero: float | None = None  # the wall clock's instant of position 0
        self._rebuffered = False

    def begin(self, into: float, now: float) -> None:
        """Play from `into` (seconds) the next piece on; what was to be played before is forgotten."""
        self._order.clear()
        self._got.clear()
        if self._buffer.interrupt(now):
            self._ran_dry()
        self._buffer.begin(into)

    def expect(self, piece: Piece) -> bool:
        """This is to be played next. Returns whether it has to be fetched: not what has come, and no gap."""
        self._order.append(piece)
        if piece.gap:
            self._tally.counts["gaps"] += 1
            self._got.add(piece.key)
        return piece.key not in self._got

    def expects(self, key: tuple[int, int]) -> bool:
        """Whether a piece is listed, and not played yet."""
        return any(piece.key == key for piece in self._order)

    def came(self, key: tuple[int, int]) -> None:
        """A piece is there; one that no playlist has listed yet has no length, and waits for it."""
        self._got.add(key)

    def play(self, now: float, *, ended: bool = False) -> float | None:
        """Play what has come. Where that is all there will ever be: for how long it lasts."""
        order, got, buffer, tally = self._order, self._got, self._buffer, self._tally
        while order and order[0].key in got:
            piece = order.popleft()
            got.remove(piece.key)
            if buffer.advance(now):
                self._ran_dry()
            if piece.date is not None:
                self._zero = piece.date - buffer.end
            begins = not buffer.started
            dry = buffer.append(piece.seconds, now)
            if dry:
                tally.time("stall").add(dry)
            if begins and buffer.started:
                tally.counts["tuned_in"] += 1
                tally.time("tune_in").add(now - self._began)
        if order or not ended or buffer.closed:
            return None
        buffer.close()
        return buffer.ahead

    def sample(self, now: float, wall: float) -> None:
        """Measure how far what is heard lies behind the wall clock's instant `wall`."""
        if self._buffer.advance(now):
            self._ran_dry()
        if self._buffer.started and self._zero is not None:
            self._tally.time("distance").add(wall - self._zero - self._buffer.position)

    def end(self, now: float) -> None:
        """Nobody listens any more: silence up to now counts."""
        if self._buffer.advance(now):
            self._ran_dry()
        if self._buffer.dry_since is not None:
            self._tally.time("stall").add(now - self._buffer.dry_since)

    def _ran_dry(self) -> None:
        self._tally.counts["stalls"] += 1
        if not self._rebuffered:
            self._rebuffered = True
            self._tally.counts["rebuffered"] += 1
