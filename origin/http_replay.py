"""Replays over HTTP: `/replay/{room}/{take}.m4a`, the HLS VOD, and the documents beside them.

What is published is for everybody, and of a private take for those who came through a signed path
(`origin.signed`). All of it is there for who shows a token of an admin or of the room's host, and then kept
by no cache. To all others it is not there, as what never was. A host's token that is not good is as none:
listeners get what is public whatever they send.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Final

from aiohttp import web

from contracts.access import shows_host
from contracts.http import KIND
from contracts.metrics import Metrics
from contracts.take import TakeKey
from origin.attachment import file_name, inline
from origin.cache_policy import Kind
from origin.public import add_public, add_stored
from origin.replay import Replay
from origin.replay_answer import Media, replay_fields
from origin.replay_sender import STALL_SECONDS, Sender
from origin.replays import NoReplay, Replays
from origin.representation import MEDIA_TYPE, Representation, accepts_gzip, content_etag, represent
from origin.respond import respond
from origin.signed import sees_private
from origin.weighed import Weighed
from pipeline.boxes import init_segment
from storage.names import CHAPTERS, PEAKS, RECORD, REPLAY_M3U8, REPLAY_M4A, content_type, take_object

_TAKE: Final = "/replay/{room}/{take}"
# As for live media: `007.mp4` would be a second address of one thing.
_FRAGMENT: Final = f"{_TAKE}/{{rendition}}/{{fragment:(?:0|[1-9][0-9]{{0,11}})}}.mp4"
_INIT: Final = f"{_TAKE}/{{rendition}}/init.mp4"
_PLAYLIST: Final = f"{_TAKE}/{{rendition}}/index.m3u8"
_MULTIVARIANT: Final = f"{_TAKE}/index.m3u8"
_RECORD: Final = f"{_TAKE}/take.json"
_CHAPTERS: Final = f"{_TAKE}/chapters.json"
_PEAKS: Final = f"{_TAKE}/peaks.json"
_FILE: Final = f"{_TAKE}.m4a"
_ALL: Final = (_FRAGMENT, _INIT, _PLAYLIST, _MULTIVARIANT, _RECORD, _CHAPTERS, _PEAKS, _FILE)
_GZIP_LEVEL: Final = 4
_TEXT_BYTES: Final = 16 * 2**20
"""Playlists and documents that are kept ready to be sent, packed or not."""


def add_no_replays(app: web.Application) -> None:
    """The addresses of replays, on an origin that lies apart from where takes are kept."""
    for path in _ALL:
        add_public(app, path, _nothing)


async def _nothing(request: web.Request) -> web.StreamResponse:
    request[KIND] = Kind.REPLAY
    raise NoReplay


class ReplayHandlers:
    """`GET /replay/…`, for the replays of a storage."""

    def __init__(self, replays: Replays, metrics: Metrics, *, stall_seconds: float = STALL_SECONDS) -> None:
        self._replays = replays
        self._sender = Sender(replays, metrics, stall_seconds=stall_seconds)
        self._texts: Weighed[tuple[str, str, Kind, bool], Representation] = Weighed(_TEXT_BYTES)

    def add_routes(self, app: web.Application) -> None:
        """To be added before the replay page: any `{take}.m4a` would fit its address."""
        add_stored(app, _FRAGMENT, self.fragment)
        add_stored(app, _INIT, self.init)
        add_stored(app, _PLAYLIST, self.playlist)
        add_stored(app, _MULTIVARIANT, self.multivariant)
        add_stored(app, _RECORD, self.record)
        add_stored(app, _CHAPTERS, self.chapters)
        add_stored(app, _PEAKS, self.peaks)
        add_stored(app, _FILE, self.file)

    # ---- media ------------------------------------------------------------------------------------------

    async def file(self, request: web.Request) -> web.StreamResponse:
        """The whole replay as one file, or a range of it."""

        def describe(replay: Replay) -> Media:
            name = file_name(replay.entry.title, ".m4a")
            stored, kind = replay.object(REPLAY_M4A), _kind(request, replay)
            return Media(stored, kind, replay.key.take, name, inline(name))

        return await self._media(request, describe)

    async def fragment(self, request: web.Request) -> web.StreamResponse:
        """Thirty seconds of a rendition, or a range of them."""
        rendition, first = request.match_info["rendition"], request.match_info["fragment"]

        def describe(replay: Replay) -> Media:
            stored, kind = replay.fragment(rendition, int(first)), _kind(request, replay)
            return Media(stored, kind, replay.key.take, f"{replay.key.take}-{rendition}-{first}.mp4")

        return await self._media(request, describe)

    async def init(self, request: web.Request) -> web.StreamResponse:
        """A rendition's CMAF header: it follows from the take's settings, as when it was live."""
        replay = await self._find(request)
        rendition = replay.rendition(request.match_info["rendition"])
        data = init_segment(replay.commit.story.header.settings, rendition)
        kind = _kind(request, replay)
        fields = {**replay_fields(kind, replay.key.take), "Accept-Ranges": "none"}
        return respond(request, represent(kind, MEDIA_TYPE, (data,), content_etag((data,)), fields))

    # ---- texts ------------------------------------------------------------------------------------------

    async def multivariant(self, request: web.Request) -> web.StreamResponse:
        """The VOD's multivariant playlist."""
        return await self._made(request, REPLAY_M3U8)

    async def playlist(self, request: web.Request) -> web.StreamResponse:
        """The VOD's media playlist of a rendition."""
        return await self._made(request, f"{request.match_info['rendition']}/{REPLAY_M3U8}")

    async def chapters(self, request: web.Request) -> web.StreamResponse:
        """The chapters, as podcast apps read them."""
        return await self._made(request, CHAPTERS)

    async def peaks(self, request: web.Request) -> web.StreamResponse:
        """The waveform."""
        return await self._made(request, PEAKS)

    async def record(self, request: web.Request) -> web.StreamResponse:
        """What happened in the take, and what was archived of it, as it was committed."""
        replay = await self._find(request)
        etag = content_etag((replay.record,))
        return await self._text(request, replay, RECORD, (etag, replay.record))

    # ---- inside -----------------------------------------------------------------------------------------

    async def _find(self, request: web.Request) -> Replay:
        """What a request is about, if who asks may have it. Raises what `Replays.find` does."""
        # Said first, so that refusals are counted under it too.
        request[KIND] = Kind.REPLAY
        where = request.match_info
        room = where["room"]
        private = sees_private(request) or shows_host(request, room)
        replay = await self._replays.find(TakeKey(room, where["take"]), private=private)
        request[KIND] = _kind(request, replay)
        return replay

    async def _media(self, request: web.Request, describe: Callable[[Replay], Media]) -> web.StreamResponse:
        replay = await self._find(request)
        media = describe(replay)
        # Only what is public: where others are sent, nobody asks them for a token. And only who gets it: S3
        # refuses HEAD at an address that was signed for GET, and podcast directories begin with HEAD.
        if media.kind is Kind.REPLAY and request.method == "GET":
            address = await self._replays.elsewhere(media.stored, media.file_name, private=replay.private)
            if address is not None:
                fields = {**replay_fields(media.kind, media.take), "Location": address}
                return web.Response(status=302, headers=fields)
        return await self._sender.send(request, replay, describe)

    async def _made(self, request: web.Request, name: str) -> web.StreamResponse:
        """A text that was made from the take."""
        replay = await self._find(request)
        replay, stored, data = await self._sender.whole(replay, lambda version: version.object(name))
        return await self._text(request, replay, name, (stored.etag, data))

    async def _text(
        self, request: web.Request, replay: Replay, name: str, text: tuple[str, bytes]
    ) -> web.StreamResponse:
        """A text (its ETag, its bytes) in the content coding that is asked for."""
        kind, full = _kind(request, replay), take_object(replay.key, name)
        gzipped = accepts_gzip(request.headers.get("Accept-Encoding"))
        found = self._texts.get((full, text[0], kind, gzipped))
        if found is None:
            fields = replay_fields(kind, replay.key.take)
            found = await asyncio.to_thread(_coded, kind, full, text, fields, gzipped=gzipped)
            self._texts.put((full, text[0], kind, gzipped), found, found.size)
        return respond(request, found)


def _kind(request: web.Request, replay: Replay) -> Kind:
    """Under which row of the cache table who asks may have a replay. Raises NotFound where they may not."""
    if replay.entry.published and (sees_private(request) or not replay.private):
        return Kind.REPLAY
    if not shows_host(request, replay.key.room):
        raise NoReplay
    return Kind.HIDDEN_REPLAY


def _coded(
    kind: Kind, name: str, text: tuple[str, bytes], fields: dict[str, str], *, gzipped: bool
) -> Representation:
    etag, data = text
    vary = ", ".join(value for value in (fields.pop("Vary", ""), "Accept-Encoding") if value)
    fields = {**fields, "Vary": vary, "Accept-Ranges": "none"}
    if gzipped:
        data, etag = gzip.compress(data, _GZIP_LEVEL, mtime=0), f'{etag[:-1]}-gz"'
        fields["Content-Encoding"] = "gzip"
    return represent(kind, content_type(name), (data,), etag, fields)
