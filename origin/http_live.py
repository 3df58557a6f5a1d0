"""Playlists and media over HTTP: parse, decide, wait, respond."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from contracts.errors import BadDirective, NotFound
from contracts.http import KIND
from contracts.position import Position
from origin.audience import is_listener
from origin.cache_policy import Kind
from origin.directives import MAX_QUERY, NONE, Directives, parse_directives
from origin.line import Form, Line
from origin.public import add_public
from origin.representation import accepts_gzip
from origin.respond import respond, respond_slot
from origin.service import Origin
from origin.signed import sees_private

# One name for one thing: `007.m4s` would be a second address, and a second copy in every cache.
_NUMBER: Final = "(?:0|[1-9][0-9]{0,11})"
_LINE: Final = "/live/{room}/{take}/{rendition}"


class LiveHandlers:
    """`GET /live/…`."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def add_routes(self, app: web.Application) -> None:
        """The hottest first: routes are tried in this order."""
        add_public(app, f"{_LINE}/index.m3u8", self.playlist)
        add_public(app, f"{_LINE}/{{msn:{_NUMBER}}}.{{part:{_NUMBER}}}.m4s", self.part)
        add_public(app, f"{_LINE}/{{msn:{_NUMBER}}}.m4s", self.segment)
        add_public(app, f"{_LINE}/init.mp4", self.init)
        add_public(app, "/live/{room}/index.m3u8", self.multivariant)

    async def playlist(self, request: web.Request) -> web.StreamResponse:
        """A media playlist, as soon as it holds what is asked for."""
        request[KIND] = Kind.PLAYLIST
        self._origin.refuse_while_filled()
        line = self._line(request)
        asked = self._directives(request, line)
        if asked.msn is not None:
            request[KIND] = Kind.BLOCKING_PLAYLIST
        await line.reach(asked, listens=is_listener(request.headers))
        gzipped = accepts_gzip(request.headers.get("Accept-Encoding"))
        return respond_slot(request, line.playlist(Form(asked.msn is not None, asked.skip, gzipped)))

    async def part(self, request: web.Request) -> web.StreamResponse:
        """A part; one that is about to come is held until it does."""
        request[KIND] = Kind.PART
        where = request.match_info
        position = Position(int(where["msn"]), int(where["part"]))
        with self._filled_later():
            line = self._media_line(request, *position)
            return respond_slot(request, await line.part(position))

    async def segment(self, request: web.Request) -> web.StreamResponse:
        """A whole segment; one that is about to be whole is held until it is."""
        request[KIND] = Kind.SEGMENT
        msn = int(request.match_info["msn"])
        with self._filled_later():
            line = self._media_line(request, msn, None)
            return respond_slot(request, await line.segment(msn))

    async def init(self, request: web.Request) -> web.StreamResponse:
        """A rendition's CMAF header."""
        request[KIND] = Kind.INIT
        with self._filled_later():
            return respond_slot(request, self._line(request).init())

    async def multivariant(self, request: web.Request) -> web.StreamResponse:
        """The running take's multivariant playlist, or that of the last one while it is in the window."""
        request[KIND] = Kind.MULTIVARIANT
        self._origin.refuse_while_filled()
        take = self._origin.current(request.match_info["room"], private=sees_private(request))
        gzipped = accepts_gzip(request.headers.get("Accept-Encoding"))
        return respond(request, take.multivariant(gzipped=gzipped))

    def _line(self, request: web.Request) -> Line:
        where = request.match_info
        private = sees_private(request)
        return self._origin.line(where["room"], where["take"], where["rendition"], private=private)

    def _media_line(self, request: web.Request, msn: int, part: int | None) -> Line:
        """Nobody waits for media in a window that will be another one in a moment."""
        line = self._line(request)
        if line.window.coming(msn, part) is not None:
            self._origin.refuse_while_filled()
        return line

    @contextmanager
    def _filled_later(self) -> Iterator[None]:
        """What is not here may come from a sister in a moment: NotReady in the place of NotFound."""
        try:
            yield
        except NotFound:
            self._origin.refuse_while_filled()
            raise

    @staticmethod
    def _directives(request: web.Request, line: Line) -> Directives:
        query = request.rel_url.raw_query_string
        # After the end every directive is ignored: there is one playlist, and it will not change.
        if not query or line.window.ended:
            return NONE
        if len(query) > MAX_QUERY:
            raise BadDirective(f"a query of at most {MAX_QUERY} characters")
        return parse_directives(request.query)
