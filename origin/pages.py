"""Web pages and what they load, from `origin/web`: read once at the start, served from memory.

Only what was found then has an address, so no path can lead out of the directory. Nothing is loaded from
another host: the content security policy says so to the browser too.
"""

from __future__ import annotations

import gzip
import mimetypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from contracts.errors import BadRequest, NotFound
from contracts.http import KIND
from contracts.ids import check_room, check_take
from origin.cache_policy import Kind
from origin.public import add_public
from origin.representation import Representation, accepts_gzip, content_etag, represent
from origin.respond import respond

WEB: Final = Path(__file__).parent / "web"
# hls.js is a pinned npm dependency; without it the page plays native HLS.
_HLS: Final = "node_modules/hls.js/dist/hls.min.mjs"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_NOT_SERVED: Final = frozenset({"package.json", "package-lock.json", "README.md"})
# Media comes through MSE, whose source is a blob. A replay's file may be redirected, which counts too. The
# player fetches from the edges that carry the room, or lets the browser's own HLS do it.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; connect-src 'self'{fetched}; img-src 'self' data:; media-src 'self' blob:{media}; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_SAFE: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
# The one page that hears. Neither the others, nor what might get into one of them, have use for a microphone.
_HEARS: Final = "speak.html"
_LISTENS: Final = "listen.html"
_REPLAYS: Final = "replay.html"
_SERVER: Final = '<meta name="longwave-server" content="{}">'
_SERVER_UNKNOWN: Final = _SERVER.format("").encode()
_PERMISSIONS: Final = "camera=(), geolocation=(), microphone={microphone}"


@dataclass(frozen=True, slots=True)
class Page:
    """One file in both content codings."""

    plain: Representation
    gzipped: Representation


def load_pages(
    directory: Path = WEB,
    *,
    media_sources: Iterable[str] = (),
    listen_sources: Iterable[str] = (),
    server: str = "",
) -> dict[str, Page]:
    """Files by the path under `directory` that they are asked for by; empty where there are none.

    `media_sources` are where a replay's file may come from beside this origin (CSP3 2.3.1); `listen_sources`
    the URLs of everywhere that a live room may be heard: edges and CDN. `server` is where hosts and
    invitations are known: an edge, where a page may come from, passes on nothing of that. Empty: where the
    page comes from.
    """
    heard = [*listen_sources, server] if server else listen_sources
    replays, listens = _sources(media_sources), _sources(source_of(url) for url in heard)
    # A listen token of the replay page may be renewed elsewhere, too.
    policies = {
        _LISTENS: _CONTENT_SECURITY_POLICY.format(fetched=listens, media=listens),
        _REPLAYS: _CONTENT_SECURITY_POLICY.format(fetched=listens, media=replays),
    }
    strict = _CONTENT_SECURITY_POLICY.format(fetched="", media="")
    return {name: _page(path, policies.get(path.name, strict), server) for name, path in _files(directory)}


def source_of(url: str) -> str:
    """What a content security policy calls the server of `url`: scheme, host and port alone.

    A source with a path would match that path only, and not what lies under it.
    """
    where = urlsplit(url)
    return f"{where.scheme}://{where.netloc}"


def _sources(sources: Iterable[str]) -> str:
    return "".join(f" {source}" for source in dict.fromkeys(sources))


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(directory.rglob("*")):
        inside = path.relative_to(directory)
        hidden = any(part.startswith(".") or part == "node_modules" for part in inside.parts)
        if path.is_file() and not hidden and path.name not in _NOT_SERVED:
            yield inside.as_posix(), path
    if (directory / _HLS).is_file():
        yield "hls.mjs", directory / _HLS


def _page(path: Path, policy: str, server: str) -> Page:
    data = path.read_bytes().replace(_SERVER_UNKNOWN, _SERVER.format(escape(server)).encode())
    content_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    fields = {"Vary": "Accept-Encoding", **_SAFE}
    if path.suffix == ".html":
        fields["Content-Security-Policy"] = policy
        microphone = "(self)" if path.name == _HEARS else "()"
        fields["Permissions-Policy"] = _PERMISSIONS.format(microphone=microphone)
    packed = gzip.compress(data, mtime=0)
    return Page(
        represent(Kind.PAGE, content_type, (data,), content_etag((data,)), fields),
        represent(
            Kind.PAGE,
            content_type,
            (packed,),
            content_etag((data,), "-gz"),
            {**fields, "Content-Encoding": "gzip"},
        ),
    )


class PageHandlers:
    """`/`, `/listen/{room}`, `/speak/{room}`, `/replay/{room}/{take}` and `/assets/…`."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self._pages = pages

    def add_routes(self, app: web.Application) -> None:
        """The pages and what they load."""
        add_public(app, "/", self.lobby)
        add_public(app, "/listen/{room}", self.listen)
        add_public(app, "/speak/{room}", self.speak)
        add_public(app, "/replay/{room}/{take}", self.replay)
        add_public(app, "/assets/{name:.+}", self.asset)

    async def lobby(self, request: web.Request) -> web.StreamResponse:
        """The rooms that are live, and the newest replays."""
        return self._respond(request, "index.html")

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """The player; it finds out by itself whether the room is live."""
        check_room(request.match_info["room"])
        return self._respond(request, "listen.html")

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """The speaker's page. Anybody may see it; what it asks of the server, a token has to allow."""
        check_room(request.match_info["room"])
        return self._respond(request, "speak.html")

    async def replay(self, request: web.Request) -> web.StreamResponse:
        """The page of a replay; it finds out by itself whether there is one."""
        try:
            check_room(request.match_info["room"])
            check_take(request.match_info["take"])
        except BadRequest as error:
            raise NotFound(f"there can be no such replay: {error.message}") from None
        return self._respond(request, _REPLAYS)

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """What a page loads. Pages have addresses of their own."""
        name = request.match_info["name"]
        if name.endswith(".html"):
            raise NotFound("nothing lives at this address")
        return self._respond(request, name)

    def _respond(self, request: web.Request, name: str) -> web.StreamResponse:
        request[KIND] = Kind.PAGE
        page = self._pages.get(name)
        if page is None:
            raise NotFound("nothing lives at this address")
        gzipped = accepts_gzip(request.headers.get("Accept-Encoding"))
        return respond(request, page.gzipped if gzipped else page.plain)
