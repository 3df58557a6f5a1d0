"""One listener: tunes in, reloads its playlist, fetches and plays what is new, moves where it is told to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from longwave.load.directions import Directions
from longwave.load.lane import MEDIA, Lane, Request
from longwave.load.pieces import Pieces
from longwave.load.playback import Playback
from longwave.load.playlists import MediaPlaylist, Playlist, Variants
from longwave.load.reloading import blocking_path, next_reload
from longwave.load.retries import Retries
from longwave.load.whereabouts import Whereabouts

if TYPE_CHECKING:
    from longwave.load.base import Base
    from longwave.load.crowd import Crowd
    from longwave.load.http_client import Answer
    from longwave.load.tiers import Standing

_TRIES: Final = 3
_PLAYLISTS: Final = frozenset({"playlist", "blocking_playlist"})


class Listener:
    """A listener. Its times are monotonic seconds."""

    __slots__ = (
        "_crowd", "_directions", "_etag", "_lists", "_media", "_misses", "_old", "_pieces", "_playback",
        "_playlist", "_playlist_at", "_retries", "_where", "gone",
    )  # fmt: skip

    def __init__(self, crowd: Crowd, intended: float) -> None:
        self._crowd = crowd
        server = (crowd.target.base, b"")
        self._where = Whereabouts(server, crowd.prefix, crowd.tally, crowd.choose)
        # Where it was before it moved, while something is in hand there.
        self._old: Base | None = None
        self._lists = Lane(crowd.wire, self)
        # Whoever blocks on one connection needs another one; else one will do.
        self._media = Lane(crowd.wire, self) if crowd.target.low_latency else self._lists
        self._directions = Directions(crowd, self._told) if crowd.target.listen else None
        self._retries = Retries(crowd.timers)
        self._playback = Playback(crowd.tally, intended)
        self._pieces = Pieces(
            crowd, self._where, self._playback,
            ask=self._media.ask,
            retry=partial(self._retries.later, ask=partial(self._repeat, self._media)),
            finish=self._finish,
        )  # fmt: skip
        self._playlist: MediaPlaylist | None = None
        self._playlist_at = 0.0
        self._etag = b""
        self._misses = 0
        self.gone = False

    # ---- from outside -------------------------------------------------------------------------------------

    def tune_in(self, intended: float) -> None:
        """Begin."""
        if self._directions is not None:
            self._directions.ask(intended)
        else:
            self._ask_first(intended)

    def leave(self, _intended: float) -> None:
        """Close the page."""
        self._go("left")

    def sample(self, now: float) -> None:
        """Measure how far behind it is."""
        self._playback.sample(now, self._crowd.wall(now))

    def end(self, now: float) -> None:
        """The end of all; `now` is the instant up to which everything counts."""
        self._close(now)

    # ---- what comes ---------------------------------------------------------------------------------------

    def done(self, request: Request, answer: Answer, now: float) -> None:
        """An answer, whatever it says."""
        if self.gone:
            return
        if self._old is not None:
            self._leave_old()
        self._crowd.heard(answer, now)
        if answer.status not in {200, 206, 304}:
            self._crowd.tally.counts[f"error.{request.kind}.status {answer.status}"] += 1
            self._again(request, now)
        elif request.kind in MEDIA:
            self._crowd.timed(request, now)
            self._pieces.came(request, now)
        else:
            self._listed(request, answer, now)

    def lost(self, request: Request, reason: str, now: float) -> None:
        """No answer: another server of the tier, if there is one, or the same again."""
        if self.gone:
            return
        if reason != "timeout" and request.base == self._where.base:
            self._where.elsewhere()
        self._again(request, now)

    # ---- playlists ----------------------------------------------------------------------------------------

    def _ask_first(self, intended: float) -> None:
        target = self._crowd.target
        self._playlist, self._etag, self._misses = None, b"", 0
        standing = self._where.standing
        self._where.follow(target.path if standing is None else standing.playlist)
        kind = "playlist" if target.is_media else "multivariant"
        self._lists.ask(Request(kind, self._where.base, self._where.path, intended))

    def _listed(self, request: Request, answer: Answer, now: float) -> None:
        found: Playlist | None = self._playlist
        if answer.status != 304:
            found = self._crowd.cache.read(request.base, request.path, answer)
        if found is None or isinstance(found, Variants) is not (request.kind == "multivariant"):
            self._crowd.tally.counts[f"error.{request.kind}.malformed"] += 1
            self._again(request, now)
        elif isinstance(found, Variants):
            self._crowd.timed(request, now)
            self._where.follow_variant(found.place)
            self._lists.ask(Request("playlist", self._where.base, self._where.path, now))
        else:
            self._crowd.timed(request, now, every=found.target)
            self._misses = 0
            self._etag = b"" if request.waits else answer.field(b"etag") or self._etag
            changed = found is not self._playlist
            self._playlist, self._playlist_at = found, request.sent
            if request.waits and found.pieces and found.pieces[-1].key == request.key:
                self._crowd.released(request, found.edge_date, now)
            if changed:
                self._pieces.take(found, now)
            self._reload(request, found, now, changed=changed)

    def _reload(self, loaded: Request, playlist: MediaPlaylist, now: float, *, changed: bool) -> None:
        low_latency = self._crowd.target.low_latency
        reload = next_reload(playlist, loaded, now, changed=changed, low_latency=low_latency)
        if reload is None:
            return
        ask = self._ask_blocking if reload.blocking else self._ask_plain
        if reload.due <= now:
            ask(now)
        else:
            self._crowd.timers.at(reload.due, ask)

    def _ask_plain(self, intended: float) -> None:
        if not self.gone:
            # As a browser's cache does for what it still has.
            extra = b"If-None-Match: " + self._etag + b"\r\n" if self._etag else b""
            where = self._where
            where.renewed(self._crowd.prefix)
            self._lists.ask(Request("playlist", where.base, where.path, intended, extra))

    def _ask_blocking(self, intended: float) -> None:
        playlist = self._playlist
        if self.gone or playlist is None:
            return
        where = self._where
        where.renewed(self._crowd.prefix)
        path = blocking_path(where.path, playlist, intended - self._playlist_at)
        key = playlist.next
        self._lists.ask(Request("blocking_playlist", where.base, path, intended, key=key, waits=True))

    # ---- what goes wrong ----------------------------------------------------------------------------------

    def _again(self, request: Request, now: float) -> None:
        """The same once more; what does not come is left out, and a lost take left."""
        if request.kind in _PLAYLISTS:
            self._misses += 1
            anew = self._misses >= _TRIES and not self._crowd.target.is_media
            request.kind, request.key, request.waits = "playlist", None, False
            self._retries.later(request, now, self._retune if anew else self._reload_anew)
        elif request.kind == "multivariant":
            self._retries.later(request, now, partial(self._repeat, self._lists))
        else:
            self._pieces.again(request, now)

    def _repeat(self, lane: Lane, request: Request, _intended: float) -> None:
        if request.base == self._old:
            request.base = self._where.base
        lane.ask(request)

    def _reload_anew(self, request: Request, _intended: float) -> None:
        self._etag = request.extra = b""
        self._where.renewed(self._crowd.prefix)
        request.base, request.path = self._where.base, self._where.path
        self._lists.ask(request)

    def _retune(self, request: Request, intended: float) -> None:
        self._crowd.tally.counts["retuned"] += 1
        # What is in hand is of another take, whose numbers are the same.
        self._drop([request], self._crowd.clock())
        self._pieces.forget()
        self._ask_first(intended)

    def _drop(self, requests: list[Request], now: float) -> None:
        """Wait no longer for these, nor for anything else that was asked for."""
        left = requests + self._retries.drop()
        for lane in {self._lists, self._media}:
            left += lane.close()
        for request in left:
            every = self._playlist.target if self._playlist and request.kind == "playlist" else 0.0
            self._crowd.abandoned(request, now, every=every)

    def _finish(self, _intended: float) -> None:
        self._go("finished")

    def _go(self, why: str) -> None:
        if not self.gone:
            self._crowd.tally.counts[why] += 1
            self._close(self._crowd.clock())

    def _close(self, now: float) -> None:
        if self.gone:
            return
        self._playback.end(now)
        self.gone = True
        self._drop([] if self._directions is None else self._directions.close(), now)

    # ---- tiers --------------------------------------------------------------------------------------------

    def _told(self, standing: Standing, now: float) -> None:
        first, old = self._where.standing is None, self._where.base
        self._where.told(standing, self._crowd.prefix, now)
        if first:
            self._ask_first(now)
        elif self._where.base != old:
            self._old = old
            self._leave_old()

    def _leave_old(self) -> None:
        """Close connections to where it was, once what is in hand there is answered."""
        old = self._old
        if old is not None and all([self._lists.leave(old), self._media.leave(old)]):
            self._old = None
