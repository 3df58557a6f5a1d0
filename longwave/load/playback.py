"""What one listener plays: pieces in their order, a buffer, and the moments without sound."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from longwave.load.buffer import Buffer
from longwave.load.playlists import Piece
from longwave.load.tally import Tally

Why = Literal["gaps", "skipped"]


class _Silence(NamedTuple):
    """What is played without a sound: positions in seconds."""

    start: float
    end: float
    why: Why


class Playback:
    """From pieces that come in any order to sound in the right one. Times are monotonic seconds."""

    __slots__ = (
        "_began", "_buffer", "_got", "_missing", "_order", "_rebuffered", "_silences", "_tally", "_unheard",
        "_zero",
    )  # fmt: skip

    def __init__(self, tally: Tally, began: float) -> None:
        self._tally = tally
        self._began = began
        self._buffer = Buffer()
        self._order: deque[Piece] = deque()
        self._got: set[tuple[int, int]] = set()
        self._zero: float | None = None  # the wall clock's instant of position 0
        self._missing: dict[tuple[int, int], Why] = {}
        self._silences: deque[_Silence] = deque()
        self._rebuffered = False
        self._unheard = False

    def begin(self, into: float, now: float) -> None:
        """Play from `into` (seconds) the next piece on; what was to be played before is forgotten."""
        self._order.clear()
        self._got.clear()
        self._missing.clear()
        if self._buffer.interrupt(now):
            self._ran_dry()
        self._count_silence(last=True)
        self._buffer.begin(into)

    def expect(self, piece: Piece) -> bool:
        """This is to be played next. Returns whether it has to be fetched: not what has come, and no gap."""
        self._order.append(piece)
        if piece.gap:
            self._miss(piece.key, "gaps")
        return piece.key not in self._got

    def expects(self, key: tuple[int, int]) -> bool:
        """Whether a piece is listed, and not played yet."""
        return any(piece.key == key for piece in self._order)

    def came(self, key: tuple[int, int]) -> None:
        """A piece is there; one that no playlist has listed yet has no length, and waits for it."""
        self._got.add(key)

    def skip(self, key: tuple[int, int]) -> None:
        """A piece that is listed will not come: silence in its place."""
        if self.expects(key):
            self._miss(key, "skipped")

    def play(self, now: float, *, ended: bool = False) -> float | None:
        """Play what has come. Where that is all there will ever be: for how long it lasts."""
        order, got, buffer, tally = self._order, self._got, self._buffer, self._tally
        while order and order[0].key in got:
            piece = order.popleft()
            got.remove(piece.key)
            self._advance(now)
            if piece.date is not None:
                self._zero = piece.date - buffer.end
            missing = self._missing.pop(piece.key, None) if self._missing else None
            if missing is not None and not buffer.started:
                # Players begin at what they can play.
                buffer.jump(piece.seconds)
                continue
            begins = not buffer.started
            dry = buffer.append(piece.seconds, now)
            if dry:
                tally.time("stall").add(dry)
            if missing is not None:
                start = max(buffer.end - piece.seconds, buffer.position)
                self._silences.append(_Silence(start, buffer.end, missing))
            if begins and buffer.started:
                tally.counts["tuned_in"] += 1
                tally.time("tune_in").add(now - self._began)
        if order or not ended or buffer.closed:
            return None
        buffer.close()
        return buffer.ahead

    def sample(self, now: float, wall: float) -> None:
        """Measure how far what is heard lies behind the wall clock's instant `wall`."""
        self._advance(now)
        if self._buffer.started and self._zero is not None:
            self._tally.time("distance").add(wall - self._zero - self._buffer.position)

    def end(self, now: float) -> None:
        """Nobody listens any more: silence up to now counts, also that before the first sound."""
        if not self._buffer.started:
            # It would have taken longer still.
            self._tally.counts["abandoned.tune_in"] += 1
            self._tally.time("tune_in").add(now - self._began)
        self._advance(now)
        self._count_silence(last=True)
        if self._buffer.dry_since is not None:
            self._tally.time("stall").add(now - self._buffer.dry_since)

    def _miss(self, key: tuple[int, int], why: Why) -> None:
        self._tally.counts[why] += 1
        self._missing[key] = why
        self._got.add(key)

    def _advance(self, now: float) -> None:
        if self._buffer.advance(now):
            self._ran_dry()
        if self._silences:
            self._count_silence()

    def _count_silence(self, *, last: bool = False) -> None:
        """Count each silence that has passed; the `last` time also what has passed of the one it is in."""
        silences, position = self._silences, self._buffer.position
        while silences and (last or silences[0].end <= position):
            start, end, why = silences.popleft()
            passed = min(end, position) - start
            if passed <= 0:
                continue
            self._tally.time(f"unheard.{why}").add(passed)
            if not self._unheard:
                self._unheard = True
                self._tally.counts["unheard_listeners"] += 1

    def _ran_dry(self) -> None:
        self._tally.counts["stalls"] += 1
        if not self._rebuffered:
            self._rebuffered = True
            self._tally.counts["rebuffered"] += 1
