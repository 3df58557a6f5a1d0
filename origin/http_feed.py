"""`GET /feeds/{room}.xml`: a room's podcast feed, for anybody who knows the room's id.

That of a private room is there for those alone who come through a signed path (`origin.signed`). Theirs holds
private replays as well, and addresses that begin as the one they asked at does: so nobody keeps it.

A feed is made when somebody asks and something it speaks of has changed, by whoever asked first; everybody
else gets the bytes that are there. Chapters, which the catalogue does not hold, are read once for each
version of a replay.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog
from aiohttp import hdrs, web

from contracts.errors import BadRequest, DependencyError, ListenerError, NotFound
from contracts.http import KIND
from contracts.ids import check_room
from contracts.take import TakeKey
from origin.cache_policy import Kind
from origin.feed import FEED_TYPE, MAX_CHAPTERS, MAX_EPISODES, Episode, OnAir, Show, render_feed
from origin.public import add_stored
from origin.representation import Representation, accepts_gzip, encode, represent
from origin.respond import respond
from origin.service import Origin
from origin.signed import signed_prefix
from origin.weighed import Weighed
from storage.entry import ReplayEntry
from storage.meta import Chapter
from storage.rooms import RoomRecord

log = structlog.get_logger()

# Names and addresses come from anybody's requests: what is kept for them is bounded.
_MAX_FEED_BYTES: Final = 32 * 2**20
_EMPTY_FEED_BYTES: Final = 16 * 2**10
_MAX_CHAPTER_BYTES: Final = 8 * 2**20
_CHAPTER_BYTES: Final = 120  # beside its title
# Replays whose chapters are read at once, and feeds that are put together.
_READERS: Final = 8
_WRITERS: Final = 2
# A feed with chapters that are missing or of another version stays for so long before they are read again.
_RETRY_SECONDS: Final = 5.0
_HOST: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class Told(Protocol):
    """What is known of one replay: `origin.replay.Replay`."""

    @property
    def entry(self) -> ReplayEntry:
        """Its entry, by which versions are told apart."""

    @property
    def chapters(self) -> tuple[Chapter, ...]:
        """The chapters that hold."""


class Catalogue(Protocol):
    """Where replays are known: `origin.replays.Replays`. Both may raise StorageUnavailable."""

    async def listed(self, room: str | None = None, *, private: bool = False) -> Sequence[ReplayEntry]:
        """The published replays of a room, newest first."""

    async def find(self, key: TakeKey, *, private: bool = False) -> Told:
        """One replay. Raises a ListenerError where there is none (any more)."""


LookUp = Callable[[str], Awaitable[RoomRecord | None]]
"""A room's record, None where nobody made one or it is kept elsewhere. May raise DependencyError."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """All that a feed speaks of: equal subjects have equal feeds."""

    show: Show
    entries: tuple[ReplayEntry, ...]
    on_air: OnAir | None

    @property
    def kind(self) -> Kind:
        """Whoever has an answer that holds a listen token can listen."""
        return Kind.SIGNED_FEED if self.show.prefix else Kind.FEED


@dataclass(slots=True, eq=False)
class _Feed:
    """A feed in both content codings, what it was made of, and until when (monotonic) it is right."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    subject: _Subject | None = None
    until: float = float("inf")
    plain: Representation | None = None
    gzipped: Representation | None = None

    @property
    def size(self) -> int:
        made = (self.plain, self.gzipped)
        return sum(each.size for each in made if each is not None)


class FeedHandlers:
    """`/feeds/{room}.xml`.

    `public_url` is what all addresses begin with; without one it is what the request was sent to, which is
    wrong behind an edge that ends TLS.
    """

    def __init__(
        self, origin: Origin, replays: Catalogue, look_up: LookUp, public_url: str | None = None
    ) -> None:
        self._origin = origin
        self._replays = replays
        self._look_up = look_up
        self._public_url = None if public_url is None else public_url.rstrip("/")
        self._feeds: Weighed[tuple[str, str, str], _Feed] = Weighed(_MAX_FEED_BYTES)
        self._chapters: Weighed[tuple[TakeKey, str], tuple[Chapter, ...]] = Weighed(_MAX_CHAPTER_BYTES)
        self._readers = asyncio.Semaphore(_READERS)
        self._writers = asyncio.Semaphore(_WRITERS)

    def add_routes(self, app: web.Application) -> None:
        """The one."""
        add_stored(app, "/feeds/{room}.xml", self.feed)

    async def feed(self, request: web.Request) -> web.StreamResponse:
        """The feed, the same bytes until something in it changes."""
        request[KIND] = Kind.FEED
        room = check_room(request.match_info["room"])
        prefix = signed_prefix(request)
        subject = await self._subject(room, self._public_url or _address(request), prefix)
        request[KIND] = subject.kind
        made = await self._current(subject)
        gzipped = accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING))
        representation = made.gzipped if gzipped else made.plain
        if representation is None:
            raise NotFound("this feed is not here any more")
        return respond(request, representation)

    # ---- what it speaks of ----------------------------------------------------------------------------

    async def _subject(self, room: str, base: str, prefix: str) -> _Subject:
        """What there is to say of a room. Raises NotFound where that is nothing, or nothing for all."""
        private = bool(prefix)
        record = await self._look_up(room)
        entries = tuple(await self._replays.listed(room, private=private))[:MAX_EPISODES]
        try:
            take = self._origin.current(room, private=private)
        except NotFound:
            take = None
        known = record or RoomRecord()
        if (record is None and not entries and take is None) or known.private > private:
            raise NotFound("no such room: nobody has made it, it is not live and has no replays")
        show = Show(room, known.title, base, known.podcast, known.visibility == "public", prefix)
        live = take is not None and not take.window.ended
        return _Subject(show, entries, OnAir(take.key, take.header.epoch_us) if take and live else None)

    # ---- how it is made --------------------------------------------------------------------------------

    async def _current(self, subject: _Subject) -> _Feed:
        name = (subject.show.room, subject.show.base, subject.show.prefix)
        feed = self._feeds.get(name)
        if feed is None:
            feed = _Feed()
            self._feeds.put(name, feed, _EMPTY_FEED_BYTES)
        async with feed.lock:
            if feed.subject != subject or self._origin.clock() >= feed.until:
                await self._make(feed, subject)
                self._feeds.put(name, feed, max(feed.size, _EMPTY_FEED_BYTES))
        return feed

    async def _make(self, feed: _Feed, subject: _Subject) -> None:
        told = await asyncio.gather(*map(self._chapters_of, subject.entries))
        episodes = [
            Episode(entry, chapters) for entry, (chapters, _) in zip(subject.entries, told, strict=True)
        ]
        async with self._writers:
            made = await asyncio.to_thread(_write, subject, episodes)
        feed.plain, feed.gzipped = made
        feed.subject = subject
        whole = all(right for _, right in told)
        feed.until = float("inf") if whole else self._origin.clock() + _RETRY_SECONDS

    async def _chapters_of(self, entry: ReplayEntry) -> tuple[tuple[Chapter, ...], bool]:
        """The first chapters of a replay, as far as they can be told; whether they are this version's."""
        if not entry.chapters:
            return (), True
        version = (entry.key, entry.derived)
        known = self._chapters.get(version)
        if known is not None:
            return known, True
        async with self._readers:
            try:
                replay = await self._replays.find(entry.key, private=entry.private)
            except (DependencyError, ListenerError) as error:
                key = entry.key
                log.warning("a feed lacks chapters", room=key.room, take=key.take, reason=error.message)
                return (), False
        chapters = replay.chapters[:MAX_CHAPTERS]
        # What was listed and what is found are looked up apart: one may be a moment older.
        if replay.entry.derived != entry.derived:
            return chapters, False
        weight = sum(_CHAPTER_BYTES + len(each.title) for each in chapters)
        self._chapters.put(version, chapters, max(_CHAPTER_BYTES, weight))
        return chapters, True


def _write(subject: _Subject, episodes: Sequence[Episode]) -> tuple[Representation, Representation]:
    """The feed, plain and gzipped. Takes some 30 ms for 300 episodes: called in a thread."""
    text = render_feed(subject.show, episodes, subject.on_air).decode()
    plain, gzipped = (
        represent(subject.kind, f"{FEED_TYPE}; charset=utf-8", (coded.data,), coded.etag, coded.fields)
        for coded in (encode(text, gzipped=False), encode(text, gzipped=True))
    )
    return plain, gzipped


def _address(request: web.Request) -> str:
    """Scheme and host that a request was sent to. Raises BadRequest where the host is none."""
    host = request.headers.get(hdrs.HOST, "")
    if not _HOST.fullmatch(host):
        raise BadRequest("a feed holds whole addresses: send a Host that is a name or an address")
    return f"{request.scheme}://{host.lower()}"
