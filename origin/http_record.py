"""`GET /replay/{room}/{take}/take.json`: what happened in a take that is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from contracts.errors import NotFound
from contracts.http import KIND
from contracts.take import TakeKey
from origin.cache_policy import Kind
from origin.public import add_public
from origin.representation import content_etag, represent
from origin.respond import respond

RecordOf = Callable[[TakeKey], bytes | None]
"""A take's record as JSON, or None where there is none (yet). It may wait for a disk: a thread calls it."""


class RecordHandlers:
    """`take.json`, for anybody who knows the take's id."""

    def __init__(self, record_of: RecordOf) -> None:
        self._record_of = record_of

    def add_routes(self, app: web.Application) -> None:
        """The one."""
        add_public(app, "/replay/{room}/{take}/take.json", self.record)

    async def record(self, request: web.Request) -> web.StreamResponse:
        """The record as it was written."""
        request[KIND] = Kind.REPLAY
        where = request.match_info
        body = await asyncio.to_thread(self._record_of, TakeKey(where["room"], where["take"]))
        if body is None:
            raise NotFound("no such take has ended here")
        return respond(
            request, represent(Kind.REPLAY, "application/json", (body,), content_etag((body,)), {})
        )


def no_records(_: TakeKey) -> bytes | None:
    """For an origin that lies apart from where takes are kept."""
    return None
