"""`POST /rooms/{room}/listen-token`: a path that lets listeners into a private room, for a while.

Asked by a host's own server, which knows its listeners, and by the player's page, which shows the token that
stands in an invitation and comes again before the path has expired. Nothing is looked up: any ingest answers.
"""

from __future__ import annotations

import json
from typing import Final

from aiohttp import web
from prometheus_client import Counter

from contracts.access import GRANT, Grant, gate_of
from contracts.errors import BadRequest, Forbidden
from contracts.http import CORS, KIND, expect_later, json_line, read_body
from contracts.ids import check_room
from contracts.listen import MAX_LISTEN_SECONDS, listen_expiry, listen_path

_PATH: Final = "/rooms/{room}/listen-token"
_MAX_BODY: Final = 1024
_SHORT: Final = 600
"""Seconds of a path that is not asked for by a host: whoever is shut out is out after so long."""
# A page on another host needs our clock to know for how long a path is good.
_NOT_KEPT: Final = {"Cache-Control": "no-store", "Access-Control-Expose-Headers": "Date"}
# Pages of other sites, too: what counts is the token that they show, which no browser adds by itself.
_PREFLIGHT: Final = {
    **CORS,
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
    "Cache-Control": "public, max-age=86400",
}


class ListenTokenHandlers:
    """The one address. `counted` counts tokens by what became of them."""

    def __init__(self, counted: Counter) -> None:
        self._counted = counted

    def add_routes(self, app: web.Application) -> None:
        """With the preflight of other sites' pages."""
        app.router.add_route("POST", _PATH, self.issue, expect_handler=expect_later)
        app.router.add_route("OPTIONS", _PATH, self.preflight)

    async def preflight(self, request: web.Request) -> web.Response:
        """Yes to every web page."""
        request[KIND] = "rooms"
        return web.Response(status=204, headers=_PREFLIGHT)

    async def issue(self, request: web.Request) -> web.Response:
        """201 with the token and what it is good for. The body is empty, or `{"for": seconds}`."""
        room = check_room(request.match_info["room"])
        asked = _seconds(await read_body(request, _MAX_BODY))
        gate = gate_of(request.app)
        if gate.listen is None:
            raise BadRequest("everything is open here, nothing private: set LONGWAVE_TOKEN or LONGWAVE_KEYS")
        expires = _expiry(request[GRANT], asked, gate.now())
        token = gate.listen.sign(room, expires)
        path = listen_path(token)
        self._counted.labels("issued").inc()
        answer = {
            "room": room,
            "token": token,
            "path": path,
            "playlist": f"{path}/live/{room}/index.m3u8",
            "expires": expires,
        }
        return json_line(answer, 201, _NOT_KEPT)


def _expiry(grant: Grant, asked: int, now: float) -> int:
    """Nobody lets others in for longer than they may themselves. Raises Forbidden where that is over."""
    seconds = asked if grant.role in {"admin", "host"} else min(asked, _SHORT)
    expires = listen_expiry(now, seconds, grant.expires)
    if expires <= now:
        raise Forbidden("this token has expired")
    return expires


def _seconds(body: bytes) -> int:
    """What is asked for, in seconds."""
    if not body:
        return _SHORT
    try:
        wish = json.loads(body)
    except (ValueError, RecursionError):
        wish = None
    match wish:
        # bool is an int to Python, but `true` is no number to JSON.
        case {"for": int(seconds), **others} if not others and not isinstance(seconds, bool):
            if 1 <= seconds <= MAX_LISTEN_SECONDS:
                return seconds
    raise BadRequest(f'the body is {{"for": seconds}}, from 1 to {MAX_LISTEN_SECONDS}, or empty')
