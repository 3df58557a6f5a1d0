"""From a representation to an answer: 200, 304 or the header fields alone."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from contracts.errors import NotFound
from contracts.http import KIND
from origin.audience import is_listener
from origin.representation import Representation, Slot, etag_matches
from origin.signed import sees_private

SLOT: Final = web.RequestKey("slot", Slot)
"""Where an answer came from that will be the same until the slot is emptied."""
# A 304 repeats what a cache needs to refresh what it holds (RFC 9110 15.4.5); the rest describes a body.
_BODY_FIELDS: Final = ("Content-Type", "Content-Length", "Content-Encoding", "Accept-Ranges")


def respond_slot(request: web.Request, slot: Slot) -> web.StreamResponse:
    """The answer to a GET or HEAD for what is in `slot` now. Raises NotFound when its take has just left."""
    if slot.representation is None:
        raise NotFound("this take is not here any more")
    request[SLOT] = slot
    slot.answers += is_listener(request.headers)
    request[KIND] = slot.representation.kind
    return respond(request, slot.representation)


def respond(request: web.Request, representation: Representation) -> web.StreamResponse:
    """The answer to a GET or HEAD for `representation`."""
    if etag_matches(request.headers.get("If-None-Match"), representation.etag):
        headers = CIMultiDict(representation.headers)
        for name in _BODY_FIELDS:
            headers.popall(name, None)
        return web.Response(status=304, headers=headers)
    # An answer at a signed path has a field more, and is never remembered (`origin.memo`) with its request.
    shared = request.keep_alive and request.version == HttpVersion11 and not sees_private(request)
    if request.method == "GET" and shared:
        return Shared(representation)
    return web.Response(body=b"".join(representation.chunks), headers=representation.headers)


class Shared(web.StreamResponse):
    """A representation written as it is, head and body in one piece.

    It leaves out what aiohttp does anew for each answer (a header multidict, its checks and its
    serialisation): a third of the time of an answer, which counts when thousands of blocked requests are
    released at once. For GET on a connection that stays open only.
    """

    def __init__(self, representation: Representation) -> None:
        super().__init__(_real_headers=_NO_HEADERS)
        self._representation = representation

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write everything. Raises ConnectionResetError when the listener has left."""
        self._keep_alive = True
        await request.writer.write(wire(self._representation))
        self._body_length = self._representation.size
        self._eof_sent = True
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Everything is written already."""


def wire(representation: Representation) -> bytes:
    """The whole answer as it goes over the wire, with today's date."""
    return b"".join((representation.head, _date_line(int(time.time())), *representation.chunks))


_NO_HEADERS: Final[CIMultiDict[str]] = CIMultiDict()
_last_date: tuple[int, bytes] = (0, b"")


def _date_line(second: int) -> bytes:
    """`Date` and the end of the head (RFC 9110 6.6.1; caches count ages from it), formatted once a second."""
    global _last_date  # noqa: PLW0603 - a memo of one value
    if _last_date[0] != second:
        _last_date = (second, f"Date: {formatdate(second, usegmt=True)}\r\n\r\n".encode())
    return _last_date[1]
