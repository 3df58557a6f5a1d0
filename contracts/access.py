"""Who may do what: the one table from routes to roles, and who is asking.

A route that is not in the table is refused when the app starts: nothing is open, or shut, by oversight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from aiohttp import hdrs, web

from contracts.errors import Forbidden, Unauthorized
from contracts.http import KIND
from contracts.listen import LISTEN_PREFIX, unknown_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from aiohttp.typedefs import Middleware

    from contracts.tokens import TokenGate

Role = Literal["admin", "host", "speaker", "listener", "publish"]
"""What a token is good for: everything; a room's host; to speak in a room; to be let into a private room;
workers that feed origins."""
ROOM_ROLES: Final[frozenset[Role]] = frozenset({"host", "speaker", "listener"})
"""Those whose tokens always name their room."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who asks, as the token says (`id` is its `jti`). With a `room` it is good for that room alone.

    `expires` is the token's end in seconds since 1970, None for one that has none.
    """

    role: Role
    room: str | None = None
    name: str | None = None
    id: str | None = None
    expires: float | None = field(default=None, compare=False)

    def speaks_as(self, asked: str | None) -> str | None:
        """The name to speak under: the one that was asked for, else the token's own.

        Raises Forbidden where a speaker's token names somebody else: a name stands in playlists and records.
        """
        if asked is None or asked == self.name:
            return self.name
        if self.role == "speaker" and self.name is not None:
            raise Forbidden(f"this token speaks as {self.name!r} only: leave out speaker=")
        return asked


GRANT: Final = web.RequestKey("grant", Grant)
"""Set by the middleware before a handler runs, on routes that are not public."""

Access = frozenset[Role] | Literal["public"]
"""The roles that a route is for, or everybody."""
PUBLIC: Final = "public"
_ADMINS: Final[frozenset[Role]] = frozenset({"admin"})
_HOSTS: Final[frozenset[Role]] = frozenset({"admin", "host"})
_SPEAKERS: Final[Access] = frozenset({"admin", "host", "speaker"})
_LISTENERS: Final[Access] = frozenset({"admin", "host", "speaker", "listener"})
_WORKERS: Final[Access] = frozenset({"admin", "publish"})

_GATE: Final[web.AppKey[TokenGate]] = web.AppKey("gate")

_LINE: Final = "/live/{room}/{take}/{rendition}"
_TAKE: Final = "/publish/{room}/{take}"
# What an edge passes on (with HEAD, and OPTIONS for the preflight of other sites' pages). First what a room
# is heard by: all of that is there under /p/{listen}, too, for private ones.
_SIGNED_READ: Final = (
    f"{_LINE}/index.m3u8",
    f"{_LINE}/{{msn}}.{{part}}.m4s",
    f"{_LINE}/{{msn}}.m4s",
    f"{_LINE}/init.mp4",
    "/live/{room}/index.m3u8",
    "/replay/{room}/{take}/{rendition}/{fragment}.mp4",
    "/replay/{room}/{take}/{rendition}/init.mp4",
    "/replay/{room}/{take}/{rendition}/index.m3u8",
    "/replay/{room}/{take}/index.m3u8",
    "/replay/{room}/{take}/take.json",
    "/replay/{room}/{take}/chapters.json",
    "/replay/{room}/{take}/peaks.json",
    "/replay/{room}/{take}.m4a",
    "/feeds/{room}.xml",
    "/listen/{room}.json",
)
# Pages know nothing of a room by themselves; the others tell of public rooms alone.
_UNSIGNED_READ: Final = (
    "/replay/{room}/{take}",
    "/rooms.json",
    "/",
    "/listen/{room}",
    "/speak/{room}",
    "/assets/{name}",
    "/healthz",
    "/readyz",
    "/metrics",
)
_GUARDED: Final[Mapping[tuple[str, str], Access]] = {
    # Speakers.
    ("PUT", "/pcm/{room}"): _SPEAKERS,
    ("GET", "/pcm/{room}/ws"): _SPEAKERS,
    ("OPTIONS", "/whip/{room}"): PUBLIC,
    ("POST", "/whip/{room}"): _SPEAKERS,
    ("OPTIONS", "/whip/{room}/{session}"): PUBLIC,
    ("PATCH", "/whip/{room}/{session}"): _SPEAKERS,
    ("DELETE", "/whip/{room}/{session}"): _SPEAKERS,
    # Hosts.
    ("GET", "/rooms/{room}"): _SPEAKERS,
    ("OPTIONS", "/rooms/{room}/listen-token"): PUBLIC,
    ("POST", "/rooms/{room}/listen-token"): _LISTENERS,
    ("PUT", "/rooms/{room}"): _HOSTS,
    ("DELETE", "/rooms/{room}"): _HOSTS,
    ("POST", "/rooms/{room}/end"): _HOSTS,
    ("GET", "/rooms/{room}/replays"): _HOSTS,
    ("GET", "/rooms/{room}/replays/{take}"): _HOSTS,
    ("PATCH", "/rooms/{room}/replays/{take}"): _HOSTS,
    ("DELETE", "/rooms/{room}/replays/{take}"): _HOSTS,
    ("POST", "/rooms/{room}/chapters"): _HOSTS,
    ("POST", "/rooms/{room}/speakers/{name}/mute"): _HOSTS,
    ("POST", "/rooms/{room}/speakers/{name}/unmute"): _HOSTS,
    ("DELETE", "/rooms/{room}/speakers/{name}"): _HOSTS,
    # Operators.
    ("GET", "/rooms"): _ADMINS,
    ("GET", "/cluster.json"): _WORKERS,
    # Workers.
    ("PUT", f"{_TAKE}/{{rendition}}/{{msn}}.{{part}}.m4s"): _WORKERS,
    ("PUT", f"{_TAKE}/{{rendition}}/{{msn}}.m4s"): _WORKERS,
    ("PUT", f"{_TAKE}/{{rendition}}/{{msn}}.gap"): _WORKERS,
    ("PUT", f"{_TAKE}/{{rendition}}/init.mp4"): _WORKERS,
    ("PUT", f"{_TAKE}/events/{{event}}.json"): _WORKERS,
    ("PUT", f"{_TAKE}/take.json"): _WORKERS,
    ("POST", f"{_TAKE}/end"): _WORKERS,
    ("GET", _TAKE): _WORKERS,
    ("HEAD", _TAKE): _WORKERS,
    # Edges.
    ("PUT", "/edges/{name}/listeners"): _WORKERS,
    # Sisters, and workers who ask what an origin has.
    ("GET", "/publish"): _WORKERS,
    ("GET", f"{_TAKE}/window"): _WORKERS,
    ("GET", f"{_TAKE}/{{rendition}}/{{msn}}.m4s"): _WORKERS,
    ("DELETE", _TAKE): _WORKERS,
}


def _table() -> Iterator[tuple[tuple[str, str], Access]]:
    signed = (LISTEN_PREFIX + path for path in _SIGNED_READ)
    for path in (*_SIGNED_READ, *signed, *_UNSIGNED_READ):
        for method in ("GET", "HEAD", "OPTIONS"):
            yield (method, path), PUBLIC
    yield from _GUARDED.items()


ACCESS: Final[Mapping[tuple[str, str], Access]] = MappingProxyType(dict(_table()))
"""(method, route as the router spells it) → who may."""
SIGNED: Final = frozenset(_SIGNED_READ)
"""What is answered under `/p/{listen}` as well, as the router spells it."""
# LiveKit's egress is given an address and nothing else: it cannot send a header.
_TOKEN_IN_QUERY: Final = ("GET", "/pcm/{room}/ws")


def guard(app: web.Application, gate: TokenGate) -> None:
    """Let nobody past the table. Say so after the middleware that answers errors, before the app starts."""
    app[_GATE] = gate
    app.middlewares.append(access_middleware(gate))
    app.on_startup.append(_check_routes)


def access_middleware(gate: TokenGate) -> Middleware:
    """Find out who asks, and whether they may, before a handler runs or anything of a body is read."""

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        row = _row(request.match_info.route)
        # Without a row the router found nothing: its own 404 or 405 is what the handler answers.
        access = PUBLIC if row is None else ACCESS[row]
        if row is not None and isinstance(access, frozenset):
            # pcm, rooms, whip, publish: the kinds are called as the paths begin.
            request[KIND] = row[1].split("/")[1]
            grant = gate.admit(_shown(request, row))
            _permit(grant, access, request.match_info.get("room"))
            request[GRANT] = grant
        return await handler(request)

    return middleware


def shows_host(request: web.Request, room: str) -> bool:
    """Whether a request shows the token of an admin or of the room's host.

    For routes that are public, where a host is shown more. A token that is not good for that is as none, and
    who shows none is nobody's host, also where everybody is let in.
    """
    gate = request.app.get(_GATE)
    if gate is None or hdrs.AUTHORIZATION not in request.headers:
        return False
    try:
        _permit(gate.admit(_shown(request, None)), _HOSTS, room)
    except (Unauthorized, Forbidden):
        return False
    return True


def check_listen(request: web.Request, token: str, room: str) -> None:
    """Return where a listen token lets into `room`. Raises ListenRefused."""
    gate = request.app.get(_GATE)
    if gate is None:
        raise unknown_address()
    gate.check_listen(token, room)


def gate_of(app: web.Application) -> TokenGate:
    """What the tokens of an app's requests are checked by."""
    return app[_GATE]


async def _check_routes(app: web.Application) -> None:
    missing = {row for route in app.router.routes() if (row := _row(route)) is not None} - ACCESS.keys()
    if missing:
        raise RuntimeError(f"contracts/access.py does not say who may use {sorted(missing)}")


def _row(route: web.AbstractRoute) -> tuple[str, str] | None:
    return None if route.resource is None else (route.method, route.resource.canonical)


def _shown(request: web.Request, row: tuple[str, str] | None) -> str | None:
    """The token that comes with a request (RFC 6750 2.1). Raises Forbidden."""
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    if authorization is None:
        return request.query.get("token") if row == _TOKEN_IN_QUERY else None
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Forbidden("a token is sent as 'Authorization: Bearer …'")
    return shown.strip()


def _permit(grant: Grant, roles: frozenset[Role], room: str | None) -> None:
    if grant.role not in roles:
        raise Forbidden(
            f"a token of role {grant.role} does not allow this: it takes {' or '.join(sorted(roles))}"
        )
    if grant.room is not None and grant.room != room:
        raise Forbidden(f"this token is for the room {grant.room} only")
