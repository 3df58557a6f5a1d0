"""What one listener fetches of its playlists, piece by piece, and what becomes of a piece that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from longwave.load.lane import Request
from longwave.load.playback import Playback
from longwave.load.playlists import MediaPlaylist, Piece, Place

if TYPE_CHECKING:
    from longwave.load.crowd import Crowd
    from longwave.load.timers import Action
    from longwave.load.whereabouts import Whereabouts

_TRIES: Final = 3
_INIT: Final = (-1, 0)
"""Stands before all parts."""


class Pieces:
    """From what is listed to what is played. Times are monotonic seconds.

    `ask` sends a request, `retry` sends one that failed again, `finish` is done when all of a take was heard.
    """

    __slots__ = ("_ask", "_crowd", "_ended", "_finish", "_hinted", "_next", "_playback", "_retry", "_where")

    def __init__(
        self,
        crowd: Crowd,
        where: Whereabouts,
        playback: Playback,
        *,
        ask: Callable[[Request], None],
        retry: Callable[[Request, float], None],
        finish: Action,
    ) -> None:
        self._crowd = crowd
        self._where = where
        self._playback = playback
        self._ask, self._retry, self._finish = ask, retry, finish
        self.forget()

    def forget(self) -> None:
        """Begin anew with the next playlist."""
        self._next: tuple[int, int] | None = None
        self._hinted: tuple[int, int] | None = None
        self._ended = False

    def take(self, playlist: MediaPlaylist, now: float) -> None:
        """Ask for all that is new in a playlist, and for what it hints at."""
        low_latency = self._crowd.target.low_latency
        self._ended = playlist.ended
        if self._next is None and not self._begin(playlist, now):
            return
        assert self._next is not None  # noqa: S101 - it has just begun
        new = playlist.after(self._next, low_latency=low_latency)
        if new and new[0].msn > self._next[0] + low_latency:
            self._crowd.tally.counts["jumps"] += 1
        for piece in new:
            self._next = (piece.msn, piece.part + 1) if low_latency else (piece.msn + 1, 0)
            if self._playback.expect(piece) and piece.key != self._hinted:
                self._fetch(piece.kind, piece.place, now, piece.key)
        self._play(now)
        hint = playlist.hint
        if low_latency and hint is not None and hint[0] >= self._next and self._hinted != hint[0]:
            self._hinted = hint[0]
            self._fetch("part", hint[1], now, hint[0], waits=True)

    def came(self, request: Request, now: float) -> None:
        """A piece is there."""
        if request.key is None:
            return
        if request.key == self._hinted:
            self._hinted = None
        self._playback.came(request.key)
        self._play(now)

    def again(self, request: Request, now: float) -> None:
        """A piece failed: once more, and after three times silence in its place."""
        key = request.key
        if key is None:
            return
        if request.waits and key == self._hinted:
            self._hinted = None
            if not self._playback.expects(key):
                # It was asked for ahead, and will be due when it is listed.
                return
        request.waits = False
        if request.tries + 1 < _TRIES or key == _INIT:
            self._retry(request, now)
        else:
            self._crowd.abandoned(request, now)
            self._playback.skip(key)
            self._play(now)

    def _begin(self, playlist: MediaPlaylist, now: float) -> bool:
        """Choose where to begin. False where there is nothing yet."""
        pieces = playlist.pieces if self._crowd.target.low_latency else playlist.segments
        if not pieces:
            return False
        index, into = playlist.start(low_latency=self._crowd.target.low_latency)
        self._playback.begin(into, now)
        self._next = pieces[index].key
        if playlist.init is not None:
            # In the order of all, as nothing is played without it.
            self._playback.expect(Piece(*_INIT, 0.0, playlist.init, "init", None, gap=False))
            self._fetch("init", playlist.init, now, _INIT)
        return True

    def _fetch(
        self, kind: str, place: Place, now: float, key: tuple[int, int], *, waits: bool = False
    ) -> None:
        base = place.base or self._where.base
        self._ask(Request(kind, base, place.path, now, key=key, waits=waits))

    def _play(self, now: float) -> None:
        lasts = self._playback.play(now, ended=self._ended)
        if lasts is not None:
            self._crowd.timers.at(now + lasts, self._finish)
