"""Who came through a signed path, `/p/{kid}.{expiry}.{mac}/…`: they may hear what is private in its room.

A handler asks `sees_private(request)`, and shows to all others what there is without it: what is private is
not there, as what never was. The token is checked before the handler runs. It stands in no log, no metric and
no error, and browsers are told to name it to nobody (`Referrer-Policy`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from prometheus_client import Counter

from contracts.access import check_listen
from contracts.listen import ListenRefused, listen_path

_PREFIX: Final = web.RequestKey("signed path", str)
_REFUSALS: Final = web.AppKey("refused listen tokens", Counter)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def count_refusals(app: web.Application, counter: Counter) -> None:
    """Count tokens that do not let in, by the reason; and say to browsers what they may not tell others."""
    app[_REFUSALS] = counter
    app.on_response_prepare.append(_keep_secret)


def let_in(handler: _Handler) -> _Handler:
    """`handler` for signed paths, which have `{listen}` and `{room}`: 403 where the token does not let in."""

    async def signed(request: web.Request) -> web.StreamResponse:
        token = request.match_info["listen"]
        try:
            check_listen(request, token, request.match_info["room"])
        except ListenRefused as refused:
            if (counter := request.app.get(_REFUSALS)) is not None:
                counter.labels(refused.outcome).inc()
            raise
        request[_PREFIX] = listen_path(token)
        return await handler(request)

    return signed


def sees_private(request: web.Request) -> bool:
    """Whether who asks was let into the room that the path names."""
    return _PREFIX in request


def signed_prefix(request: web.Request) -> str:
    """`/p/TOKEN` as it came, for addresses in the answer: then nobody may keep it. Else nothing."""
    prefix: str = request.get(_PREFIX, "")
    return prefix


async def _keep_secret(request: web.Request, response: web.StreamResponse) -> None:
    """Also of paths that lead nowhere: what stands in them may be a token."""
    if request.path.startswith("/p/"):
        response.headers["Referrer-Policy"] = "no-referrer"
