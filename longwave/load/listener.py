"""One listener: tunes in, reloads its playlist, fetches and plays what is new, moves where it is told to."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from longwave.load.buffer import Buffer
from longwave.load.lane import MEDIA, Lane, Request
from longwave.load.playlists import MediaPlaylist, Piece, Place, Playlist, Variants
from longwave.load.tiers import Standing

if TYPE_CHECKING:
    from longwave.load.crowd import Crowd
    from longwave.load.http_client import Answer, Base

_RETRY_SECONDS: Final = 1.0
_TRIES: Final = 3
_FLAP_SECONDS: Final = 60.0
"""Back within this at a tier that one has left: it was not worth the move."""
_PLAYLISTS: Final = frozenset({"playlist", "blocking_playlist"})


class Listener:
    """A listener. Its times are monotonic seconds."""

    __slots__ = (
        "_base", "_began", "_buffer", "_crowd", "_etag", "_got", "_hinted", "_left_tiers", "_lists", "_media",
        "_misses", "_next", "_old", "_order", "_path", "_playlist", "_playlist_at", "_prefix", "_standing",
        "_tier_lane", "_zero", "gone", "rebuffered",
    )  # fmt: skip

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._base: Base = crowd.target.base
        self._prefix = b""
        self._path = b""
        self._lists = Lane(crowd.wire, self)
        # Whoever blocks on one connection needs another one; else one will do.
        self._media = Lane(crowd.wire, self) if crowd.target.low_latency else self._lists
        self._tier_lane = Lane(crowd.wire, self) if crowd.target.listen else None
        self._buffer = Buffer()
        self._began = 0.0
        self._zero: float | None = None  # the wall clock's instant of position 0
        self._playlist: MediaPlaylist | None = None
        self._playlist_at = 0.0
        self._etag = b""
        self._next: tuple[int, int] | None = None
        self._order: deque[Piece] = deque()
        self._got: set[tuple[int, int]] = set()
        self._hinted: tuple[int, int] | None = None
        self._misses = 0
        self._standing: Standing | None = None
        self._left_tiers: dict[str, float] = {}
        self._old: Base | None = None
        self.gone = False
        self.rebuffered = False

    # ---- from outside -------------------------------------------------------------------------------------

    def tune_in(self, intended: float) -> None:
        """Arrive."""
        self._began = intended
        self._crowd.tally.counts["arrived"] += 1
        if self._tier_lane is not None:
            self._ask_tier(intended)
        else:
            self._prefix = self._crowd.prefix
            self._ask_first(intended)

    def leave(self, _intended: float) -> None:
        """Close the page."""
        self._go("left")

    def sample(self, now: float) -> None:
        """Measure how far behind it is."""
        if self._buffer.advance(now):
            self._ran_dry()
        if self._buffer.started and self._zero is not None and not self.gone:
            behind = self._crowd.wall(now) - self._zero - self._buffer.position
            self._crowd.tally.time("distance").add(behind)

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
        if reason != "timeout" and self._standing is not None and request.base == self._base:
            self._settle(self._standing)
        self._again(request, now)

    # ---- playlists ----------------------------------------------------------------------------------------

    def _ask_first(self, intended: float) -> None:
        target = self._crowd.target
        self._playlist, self._next, self._etag, self._misses = None, None, b"", 0
        self._order.clear()
        self._got.clear()
        path = self._standing.playlist if self._standing is not None else target.path
        self._path = self._prefix + path
        kind = "playlist" if target.is_media else "multivariant"
        self._lists.ask(Request(kind, self._base, self._path, intended))

    def _listed(self, request: Request, answer: Answer, now: float) -> None:
        found: Playlist | None = self._playlist
        if answer.status != 304:
            found = self._crowd.cache.read(request.base, request.path, answer)
        if found is None or isinstance(found, Variants) is not (request.kind == "multivariant"):
            self._crowd.tally.counts[f"error.{request.kind}.malformed"] += 1
            self._again(request, now)
        elif isinstance(found, Variants):
            self._crowd.timed(request, now)
            self._base, self._path = found.place.base or self._base, found.place.path
            self._lists.ask(Request("playlist", self._base, self._path, now))
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

    def _reload(self, request: Request, playlist: MediaPlaylist, now: float, *, changed: bool) -> None:
        if playlist.ended:
            return
        if self._crowd.target.low_latency and playlist.blocks:
            if changed or not request.waits:
                self._ask_blocking(now)
            else:
                # Answered, though there was nothing new: not what the rules say, and no reason to storm.
                self._crowd.timers.at(now + playlist.target / 2, self._ask_blocking)
            return
        # rfc8216bis 6.3.4: counted from when the load before began.
        due = request.intended + (playlist.target if changed else playlist.target / 2)
        if due <= now:
            self._ask_plain(now)
        else:
            self._crowd.timers.at(due, self._ask_plain)

    def _ask_plain(self, intended: float) -> None:
        if not self.gone:
            # As a browser's cache does for what it still has.
            extra = b"If-None-Match: " + self._etag + b"\r\n" if self._etag else b""
            self._lists.ask(Request("playlist", self._base, self._path, intended, extra))

    def _ask_blocking(self, intended: float) -> None:
        playlist = self._playlist
        if self.gone or playlist is None:
            return
        skip = (
            playlist.skip_until is not None
            # 6.2.5.1: of an older playlist more may be missing than what is sent.
            and intended - self._playlist_at < playlist.skip_until / 2
        )
        mark = b"&" if b"?" in self._path else b"?"
        path = self._path + mark + playlist.directives(skip=skip)
        key = playlist.next
        self._lists.ask(Request("blocking_playlist", self._base, path, intended, key=key, waits=True))

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
            self._order.append(piece)
            self._next = (piece.msn, piece.part + 1) if low_latency else (piece.msn + 1, 0)
            if piece.gap:
                self._crowd.tally.counts["gaps"] += 1
                self._got.add(piece.key)
            elif piece.key != self._hinted and piece.key not in self._got:
                self._ask_media(piece.kind, piece.place, now, piece.key)
        self._drain(now)
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
        if self._buffer.interrupt(now):
            self._ran_dry()
        self._buffer.begin(into)
        self._next = pieces[index].key
        if playlist.init is not None:
            self._ask_media("init", playlist.init, now)
        return True

    def _ask_media(
        self, kind: str, place: Place, now: float, key: tuple[int, int] | None = None, *, waits: bool = False
    ) -> None:
        base = place.base or self._base
        self._media.ask(Request(kind, base, place.path, now, key=key, waits=waits))

    def _arrived(self, key: tuple[int, int], now: float) -> None:
        self._got.add(key)
        if key == self._hinted:
            # How long it is, only the playlist will say: until then it is not played.
            self._hinted = None
        self._drain(now)

    def _drain(self, now: float) -> None:
        """Play what has come, in order."""
        order, got, buffer, tally = self._order, self._got, self._buffer, self._crowd.tally
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
        if not order and self._playlist is not None and self._playlist.ended and not buffer.closed:
            buffer.close()
            self._crowd.timers.at(now + buffer.ahead, self._finish)

    def _finish(self, _intended: float) -> None:
        if self._buffer.closed:
            self._go("finished")

    def _ran_dry(self) -> None:
        self._crowd.tally.counts["stalls"] += 1
        if not self.rebuffered:
            self.rebuffered = True
            self._crowd.tally.counts["rebuffered"] += 1

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
        elif request.waits and request.key == self._hinted:
            self._hinted = None
            listed = any(piece.key == request.key for piece in self._order)
            if listed:
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
                request.base = self._base
            lane.ask(request)

    def _ask_plain_anew(self, intended: float) -> None:
        self._etag = b""
        self._ask_plain(intended)

    def _retune(self, intended: float) -> None:
        if not self.gone:
            self._crowd.tally.counts["retuned"] += 1
            self._media.drop()
            self._hinted = None
            self._ask_first(intended)

    def _go(self, why: str) -> None:
        if not self.gone:
            self._crowd.tally.counts[why] += 1
            self._close(self._crowd.clock())

    def _close(self, now: float) -> None:
        if self.gone:
            return
        if self._buffer.advance(now):
            self._ran_dry()
        if self._buffer.dry_since is not None:
            self._crowd.tally.time("stall").add(now - self._buffer.dry_since)
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
        before, self._standing = self._standing, standing
        if before is None:
            self._settle(standing)
            self._ask_first(now)
        elif before.tier != standing.tier:
            self._count_move(before.tier, standing.tier, now)
            self._settle(standing)
        elif before.bases != standing.bases or self._crowd.prefix != self._prefix:
            self._settle(standing)

    def _settle(self, standing: Standing) -> None:
        """Go to one of the servers of a tier, with the playlist as it is: bytes and numbers are equal."""
        base, start = self._crowd.choose(standing.bases)
        if not self._crowd.may_load(base):
            self._crowd.tally.counts["error.listen.not allowed"] += 1
            return
        prefix = start + (self._crowd.prefix if standing.private else b"")
        if self._path:
            self._path = prefix + self._path.removeprefix(self._prefix)
        if base != self._base:
            self._old, self._base = self._base, base
            self._leave_old()
        self._prefix = prefix

    def _count_move(self, tier: str, to: str, now: float) -> None:
        counts = self._crowd.tally.counts
        counts[f"move.{tier}>{to}"] += 1
        if now - self._left_tiers.get(to, -_FLAP_SECONDS) < _FLAP_SECONDS:
            counts["flaps"] += 1
        self._left_tiers[tier] = now

    def _leave_old(self) -> None:
        """Close connections to where it was, once what is in hand there is answered."""
        old = self._old
        if old is not None and all([self._lists.leave(old), self._media.leave(old)]):
            self._old = None
