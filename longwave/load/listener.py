"""One listener: tunes in, reloads its playlist, fetches and plays what is new, moves where it is told to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from longwave.load.lane import MEDIA, Lane, Request
from longwave.load.playback import Playback
from longwave.load.playlists import MediaPlaylist, Place, Playlist, Variants
from longwave.load.reloading import blocking_path, next_reload
from longwave.load.tiers import Standing
from longwave.load.whereabouts import Whereabouts

if TYPE_CHECKING:
    from longwave.load.base import Base
    from longwave.load.crowd import Crowd
    from longwave.load.http_client import Answer

_RETRY_SECONDS: Final = 1.0
_TRIES: Final = 3
_PLAYLISTS: Final = frozenset({"playlist", "blocking_playlist"})


class Listener:
    """A listener. Its times are monotonic seconds."""

    __slots__ = (
        "_crowd", "_etag", "_hinted", "_lists", "_media", "_misses", "_next", "_old", "_playback",
        "_playlist", "_playlist_at", "_tier_lane", "_where", "gone",
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
        self._tier_lane = Lane(crowd.wire, self) if crowd.target.listen else None
        self._playback = Playback(crowd.tally, intended)
        self._playlist: MediaPlaylist | None = None
        self._playlist_at = 0.0
        self._etag = b""
        self._next: tuple[int, int] | None = None
        self._hinted: tuple[int, int] | None = None
        self._misses = 0
        self.gone = False

    # ---- from outside -------------------------------------------------------------------------------------

    def tune_in(self, intended: float) -> None:
        """Begin."""
        if self._tier_lane is not None:
            self._ask_tier(intended)
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
            if request.key is not None:
                self._arrived(request.key, now)
        elif request.kind == "listen":
            self._crowd.timed(request, now)
            self._told(request, answer, now)
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
        self._playlist, self._next, self._etag, self._misses = None, None, b"", 0
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
                self._take(found, now)
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

    # ---- media --------------------------------------------------------------------------------------------

    def _take(self, playlist: MediaPlaylist, now: float) -> None:
        """Ask for all that is new in a playlist, and for what it hints at."""
        low_latency = self._crowd.target.low_latency
        if self._next is None and not self._begin(playlist, now):
            return
        assert self._next is not None  # noqa: S101 - it has just begun
        new = playlist.after(self._next, low_latency=low_latency)
        if new and new[0].msn > self._next[0] + low_latency:
            self._crowd.tally.counts["jumps"] += 1
        for piece in new:
            self._next = (piece.msn, piece.part + 1) if low_latency else (piece.msn + 1, 0)
            if self._playback.expect(piece) and piece.key != self._hinted:
                self._ask_media(piece.kind, piece.place, now, piece.key)
        self._play(now)
        hint = playlist.hint
        if low_latency and hint is not None and hint[0] >= self._next and self._hinted != hint[0]:
            self._hinted = hint[0]
            self._ask_media("part", hint[1], now, hint[0], waits=True)

    def _begin(self, playlist: MediaPlaylist, now: float) -> bool:
        """Choose where to begin. False where there is nothing yet."""
        pieces = playlist.pieces if self._crowd.target.low_latency else playlist.segments
        if not pieces:
            return False
        index, into = playlist.start(low_latency=self._crowd.target.low_latency)
        self._playback.begin(into, now)
        self._next = pieces[index].key
        if playlist.init is not None:
            self._ask_media("init", playlist.init, now)
        return True

    def _ask_media(
        self, kind: str, place: Place, now: float, key: tuple[int, int] | None = None, *, waits: bool = False
    ) -> None:
        base = place.base or self._where.base
        self._media.ask(Request(kind, base, place.path, now, key=key, waits=waits))

    def _arrived(self, key: tuple[int, int], now: float) -> None:
        if key == self._hinted:
            self._hinted = None
        self._playback.came(key)
        self._play(now)

    def _play(self, now: float) -> None:
        lasts = self._playback.play(now, ended=self._playlist is not None and self._playlist.ended)
        if lasts is not None:
            self._crowd.timers.at(now + lasts, self._finish)

    def _finish(self, _intended: float) -> None:
        self._go("finished")

    # ---- what goes wrong ----------------------------------------------------------------------------------

    def _again(self, request: Request, now: float) -> None:
        """The same once more, a second later; what does not come is left out, and a lost take left."""
        request.tries += 1
        later = now + _RETRY_SECONDS
        if request.kind == "listen":
            self._crowd.timers.at(later, self._ask_tier)
        elif request.kind in _PLAYLISTS:
            self._misses += 1
            anew = self._misses >= _TRIES and not self._crowd.target.is_media
            self._crowd.timers.at(later, self._retune if anew else self._ask_plain_anew)
        elif request.kind == "multivariant":
            self._crowd.timers.at(later, partial(self._repeat, self._lists, request))
        elif request.waits and request.key is not None and request.key == self._hinted:
            self._hinted = None
            if self._playback.expects(request.key):
                request.waits = False
                self._crowd.timers.at(later, partial(self._repeat, self._media, request))
        elif request.tries < _TRIES:
            self._crowd.timers.at(later, partial(self._repeat, self._media, request))
        elif request.key is not None:
            self._crowd.tally.counts["skipped"] += 1
            self._arrived(request.key, now)

    def _repeat(self, lane: Lane, request: Request, _intended: float) -> None:
        if not self.gone:
            # Its intended instant stays what it was: the listener has waited since then.
            if request.base == self._old:
                request.base = self._where.base
            lane.ask(request)

    def _ask_plain_anew(self, intended: float) -> None:
        self._etag = b""
        self._ask_plain(intended)

    def _retune(self, intended: float) -> None:
        if not self.gone:
            self._crowd.tally.counts["retuned"] += 1
            # What is in hand is of another take, whose numbers are the same.
            for lane in {self._lists, self._media}:
                lane.close()
            self._hinted = None
            self._ask_first(intended)

    def _go(self, why: str) -> None:
        if not self.gone:
            self._crowd.tally.counts[why] += 1
            self._close(self._crowd.clock())

    def _close(self, now: float) -> None:
        if self.gone:
            return
        self._playback.end(now)
        self.gone = True
        for lane in {self._lists, self._media, self._tier_lane or self._lists}:
            lane.close()

    # ---- tiers --------------------------------------------------------------------------------------------

    def _ask_tier(self, intended: float) -> None:
        if not self.gone and self._tier_lane is not None:
            target = self._crowd.target
            path = self._crowd.prefix + target.listen
            self._tier_lane.ask(Request("listen", target.base, path, intended))

    def _told(self, request: Request, answer: Answer, now: float) -> None:
        standing = Standing.read(request.base, answer.body)
        if standing is None:
            self._crowd.tally.counts["error.listen.malformed"] += 1
            self._again(request, now)
            return
        self._crowd.timers.at(max(now, request.intended + standing.ask_again), self._ask_tier)
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
