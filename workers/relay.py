"""What reaches an ingest and is for a room of another one's: handed on to its owner, and the answer back.

Senders of PCM need not know where a room lives, nor follow a redirect with a body that is under way; hosts
ask whom they like. Only the owner's ingest is asked, once: what was relayed is not relayed again.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import ClientPayloadError, hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from contracts.errors import BadRequest, BusUnavailable, LongwaveError, OverCapacity, OwnerUnavailable
from contracts.http import go_on, read_body, refuse_encoding
from workers.relay_socket import converse
from workers.relay_watch import Elsewhere, Watch, unless

RELAYED: Final = "Longwave-Relayed"
"""The header of a request that comes from another ingest, which took its sender for one of this one's."""
# What an owner needs to know of a request. Not `Origin`: whether a page may ask is decided where it asks, by
# the address that it asked.
_PASSED_ON: Final = (
    hdrs.AUTHORIZATION,
    hdrs.CONTENT_TYPE,
    hdrs.IF_MATCH,
    hdrs.IF_NONE_MATCH,
)
# What belongs to one connection (RFC 9110 7.6.1), or is said anew for the next.
_NOT_PASSED_BACK: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "date",
        "server",
    }
)
_MAX_BODY: Final = 64 * 1024
_MAX_ANSWER: Final = 1024 * 1024
# An owner on the same network; one that does not answer costs a host a retry.
_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 10.0
# What an owner gets to say goodbye to a WebSocket; a frozen one says nothing.
_CLOSE_SECONDS: Final = 1.0


class Relay:
    """Knows by `elsewhere` who owns a room, and asks there with the caller's own token: all have one key.

    `tls` is a context that trusts ingests with certificates of their own; a line to an owner is watched every
    `watch_seconds`.
    """

    def __init__(
        self, elsewhere: Elsewhere, *, tls: ssl.SSLContext | None = None, watch_seconds: float = 0.5
    ) -> None:
        self._elsewhere = elsewhere
        self._tls = tls
        self._watch = Watch(elsewhere, watch_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._closing = False

    async def owner_of(self, room: str) -> str | None:
        """The URL of the other ingest that owns `room`, if one does. Raises BusUnavailable."""
        found = await self._elsewhere([room])
        if room not in found:
            raise BusUnavailable("who owns this room cannot be told: try again in a moment")
        return found[room]

    async def ask(self, request: web.Request, url: str, body: bytes | None = None) -> web.Response:
        """The answer of the ingest at `url` to a request with a small body, which may have been read already.

        Raises OwnerUnavailable, and what `read_body` does.
        """
        self._admit(request)
        if body is None and request.can_read_body:
            body = await read_body(request, _MAX_BODY)
        try:
            async with self._http().request(
                request.method,
                _there(request, url),
                data=body,
                headers=_passed_on(request),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS, sock_connect=_CONNECT_SECONDS),
            ) as answer:
                return await _passed_back(answer)
        except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
            raise _no_answer() from None

    async def send(self, request: web.Request, room: str, url: str) -> web.Response:
        """Hand a body of any length on as it arrives, and give the owner's answer.

        The sender is asked for its body once the owner asks for it. Raises OwnerUnavailable, BadRequest where
        the sender was cut, OverCapacity where this process goes down.
        """
        self._admit(request)
        refuse_encoding(request)
        with self._watch.over(room, url) as over:
            return await unless(over, self._put(request, url))

    async def talk(
        self, request: web.Request, socket: web.WebSocketResponse, room: str, url: str
    ) -> web.StreamResponse:
        """Join a sender's `socket` to one at the owner, or give the owner's answer where that opens none.

        Raises what `send` does.
        """
        self._admit(request)
        with self._watch.over(room, url) as over:
            try:
                owner = await unless(over, self._dial(request, url))
            except _NoSocket as refused:
                return refused.answer
            try:
                await socket.prepare(request)
                await converse(socket, owner, over)
            finally:
                await owner.close()
        return socket

    def end(self) -> None:
        """This process goes down: whoever is relayed shall connect somewhere else."""
        self._closing = True
        self._watch.end(_going_down())

    async def close(self) -> None:
        """Close what is open."""
        self.end()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ------------------------------------------------------------ inside

    def _admit(self, request: web.Request) -> None:
        if self._closing:
            raise _going_down()
        if RELAYED in request.headers:
            # Two ingests that each take the other for the owner: a moment later one of them knows better.
            raise OwnerUnavailable("this room is changing its ingest: try again in a moment")

    async def _put(self, request: web.Request, url: str) -> web.Response:
        body = _Body(request)
        try:
            async with self._http().request(
                request.method,
                _there(request, url),
                data=body.pieces(),
                headers=_passed_on(request),
                # Nothing of the body is lost to an owner that does not want it.
                expect100=True,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            ) as answer:
                return await _passed_back(answer)
        except (aiohttp.ClientError, OSError):
            raise body.broken or _no_answer() from None

    async def _dial(self, request: web.Request, url: str) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._http().ws_connect(
                _there(request, url),
                headers=_passed_on(request),
                compress=0,
                # The sender's own messages were measured when they came.
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
            )
        except (aiohttp.ClientError, OSError):
            raise _no_answer() from None

    def _http(self) -> aiohttp.ClientSession:
        # Made on first use, because a session belongs to the running event loop.
        if self._session is None:
            # A connection that was kept may be dead, and a body under way cannot be sent twice.
            connector = aiohttp.TCPConnector(limit=0, force_close=True, ssl=self._tls or True)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=(hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT),
                middlewares=(_keep_refusals,),
            )
        return self._session


class _Body:
    """A sender's body, piece by piece; `broken` says how it ended where it did not end well."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.broken: LongwaveError | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """What has arrived; nothing is read before it has been passed on."""
        await go_on(self._request)
        try:
            while data := await self._request.content.readany():
                yield data
        except (ClientPayloadError, ConnectionError):
            # aiohttp makes a failed connection of it: what the owner gets is a body that stops, too.
            self.broken = BadRequest("the body stopped half way")
            raise self.broken from None


class _NoSocket(LongwaveError):
    """An owner that lets a sender's WebSocket not in; `answer` says why."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__("the owner opens no WebSocket")
        self.answer = answer


async def _keep_refusals(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Of a refused WebSocket aiohttp itself keeps the status, and not what the owner says."""
    answer = await handler(request)
    if hdrs.UPGRADE in request.headers and answer.status != HTTPStatus.SWITCHING_PROTOCOLS:
        async with answer:
            raise _NoSocket(await _passed_back(answer))
    return answer


def _there(request: web.Request, url: str) -> URL:
    """The same address at another ingest. A token is for a header: addresses find their way into logs."""
    return (URL(url) / "").join(request.rel_url).without_query_params("token")


def _passed_on(request: web.Request) -> CIMultiDict[str]:
    headers = CIMultiDict({RELAYED: "1"})
    for name in _PASSED_ON:
        if name in request.headers:
            headers[name] = request.headers[name]
    # As `contracts.access` takes it from a WebSocket that can send no header.
    if hdrs.AUTHORIZATION not in headers and "token" in request.query:
        headers[hdrs.AUTHORIZATION] = f"Bearer {request.query['token']}"
    return headers


async def _passed_back(answer: aiohttp.ClientResponse) -> web.Response:
    """The owner's answer as it is. Raises OwnerUnavailable where it has no end."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > _MAX_ANSWER:
            raise OwnerUnavailable("the ingest that owns this room answers without end")
    return web.Response(status=answer.status, body=bytes(body), headers=_kept(answer.headers))


def _kept(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _NOT_PASSED_BACK
    )


def _no_answer() -> OwnerUnavailable:
    return OwnerUnavailable("the ingest that owns this room gives no answer: try again in a moment")


def _going_down() -> OverCapacity:
    return OverCapacity("this server goes down: connect again in a moment")
