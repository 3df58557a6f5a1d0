"""Connections of an origin: aiohttp's own, with a shortcut for requests that were seen before.

A connection may be answered from the memo while every chunk that it sends is one whole GET request without
a body, which is how clients send them. The first chunk that is anything else (a body, two requests, half a
request) ends that for the connection.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_server import Server

from contracts.http import json_error
from contracts.metrics import Metrics
from origin.audience import is_listener
from origin.cache_policy import error_cache_control
from origin.memo import Memo, is_one_plain_get
from origin.representation import Representation
from origin.respond import SLOT, Shared, wire


class Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_asked", "_memo", "_plain")

    def __init__(self, memo: Memo, manager: Server, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(manager, **options)
        self._memo = memo
        self._plain = True
        # The bytes of the request in hand, where there is exactly one.
        self._asked = b""

    def data_received(self, data: bytes) -> None:
        """Answer from memory, or let aiohttp see it."""
        if not self._plain:
            super().data_received(data)
            return
        idle = self._idle
        if idle:
            known = self._memo.recall(data)
            if known is not None and self._write(known):
                return
        self._plain = is_one_plain_get(data)
        # While another request is in hand, nobody could tell which of the two an answer belongs to.
        self._asked = data if idle and self._plain else b""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before + 1:
            self._plain = False
            self._asked = b""

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Remember what answered, where it will answer again."""
        slot = request.get(SLOT)
        if self._asked and slot is not None and isinstance(resp, Shared):
            self._memo.learn(self._asked, slot, listens=is_listener(request.headers))
        finished = await super().finish_response(request, resp, start_time)
        # Answers of ours are small, and aiohttp waits only while it writes a large one: who asks on and on
        # and reads nothing would fill the memory.
        if self.writing_paused:
            with suppress(ConnectionError):
                await request.writer.drain()
        return finished

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP gets its one line too, and no traceback in the log: anybody can send it."""
        if status != web.HTTPBadRequest.status_code:
            return super().handle_error(request, status, exc, message)
        response = json_error(status, "this is not an HTTP request", error_cache_control(status))
        response.force_close()
        return response

    @property
    def _idle(self) -> bool:
        """Whether everything that was asked is answered, and taken: aiohttp waits for the next request."""
        if self._close or self._force_close or self._messages:
            return False
        waiter = self._waiter
        return waiter is not None and not waiter.done()

    def _write(self, known: Representation) -> bool:
        transport = self.transport
        # Who does not read what it asked for is left to aiohttp, which stops reading from it.
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        transport.write(wire(known))
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True


class _Server(Server):
    def __init__(self, memo: Memo, plain: Server) -> None:
        super().__init__(
            plain.request_handler,
            request_factory=plain.request_factory,
            handler_cancellation=plain.handler_cancellation,
            loop=plain._loop,  # noqa: SLF001 - aiohttp has no other way to make its connections
            **plain._kwargs,  # noqa: SLF001
        )
        self._memo = memo

    def __call__(self) -> RequestHandler:
        return Connection(self._memo, self, loop=self._loop, **self._kwargs)


class OriginRunner(web.AppRunner):
    """An `AppRunner` whose connections remember. Takes the same options."""

    def __init__(self, app: web.Application, metrics: Metrics, **options: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(app, **options)
        self._memo = Memo(metrics)

    async def _make_server(self) -> Server:
        return _Server(self._memo, await super()._make_server())
