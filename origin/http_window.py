"""What this origin has, for workers and for its sisters: `GET` and `DELETE` under `/publish`."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from contracts.errors import BadRequest, NotFound
from contracts.http import CORS, json_line
from contracts.ids import check_rendition
from origin.cache_policy import CACHE_CONTROL, Kind
from origin.contents import contents
from origin.http_publish import NUMBER, TAKE, key_of, refuse_pages
from origin.journal_format import Record, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from contracts.take import TakeKey
    from origin.live_take import LiveTake
    from origin.service import Origin

log = structlog.get_logger()

# What is handed over at once. More than this is never copied for a sister, however slowly she reads.
_BATCH: Final = 64 * 2**10
# A window of many renditions over a thin line; a sister gives up long before.
_WINDOW_SECONDS: Final = 30.0
_HEADERS: Final = {"Cache-Control": CACHE_CONTROL[Kind.PUBLISH], **CORS}


class WindowHandlers:
    """The takes that are here, one whole, a segment of one, and the end of one for good.

    `forgotten` is told of a take that its host has deleted.
    """

    def __init__(self, origin: Origin, forgotten: Callable[[TakeKey], None]) -> None:
        self._origin = origin
        self._forgotten = forgotten

    def add_routes(self, app: web.Application) -> None:
        """All of them."""
        app.router.add_get("/publish", self.takes, allow_head=False)
        app.router.add_get(f"{TAKE}/window", self.window, allow_head=False)
        app.router.add_get(f"{TAKE}/{{rendition}}/{{msn:{NUMBER}}}.m4s", self.segment, allow_head=False)
        app.router.add_delete(TAKE, self.forget)

    async def takes(self, request: web.Request) -> web.Response:
        """Every take: where each rendition is, and how long ago something was put.

        Also while this origin is being filled: two that start together give each other what they have.
        """
        refuse_pages(request)
        now = self._origin.clock()
        return json_line({"takes": [_listed(take, now) for take in self._origin.takes]}, headers=_HEADERS)

    async def window(self, request: web.Request) -> web.StreamResponse:
        """All that is served of a take, as records; `?from=` leaves out segments before it."""
        refuse_pages(request)
        take = self._origin.takes.known(key_of(request))
        records = contents(take.window, _start(request))
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "application/octet-stream"})
        await response.prepare(request)
        try:
            async with asyncio.timeout(_WINDOW_SECONDS):
                for batch in _batches(records):
                    await response.write(pack(batch))
                    await asyncio.sleep(0)  # a near sister takes megabytes at once: listeners come between
        except TimeoutError:
            log.warning("a sister reads a window too slowly", room=take.key.room, take=take.key.take)
            if request.transport is not None:
                request.transport.abort()
        else:
            await response.write_eof()
        return response

    async def segment(self, request: web.Request) -> web.Response:
        """What is served of a segment, one part after another. Never waits."""
        refuse_pages(request)
        key = key_of(request)
        self._origin.refuse_while_filled()
        rendition, msn = check_rendition(request.match_info["rendition"]), int(request.match_info["msn"])
        parts = self._origin.line(*key, rendition, private=True).window.parts_held(msn)
        if not parts:
            raise NotFound(f"nothing of segment {msn} is here")
        return web.Response(body=b"".join(parts), content_type="audio/mp4", headers=_HEADERS)

    async def forget(self, request: web.Request) -> web.Response:
        """Let go of a take that its host has deleted. Twice is fine."""
        refuse_pages(request)
        key = key_of(request)
        self._origin.refuse_while_filled()
        self._origin.forget(key)
        self._forgotten(key)
        return web.Response(status=204, headers=_HEADERS)


def _start(request: web.Request) -> int:
    text = request.query.get("from", "0")
    if not re.fullmatch(NUMBER, text, re.ASCII):
        raise BadRequest("from: the number of a segment")
    return int(text)


def _listed(take: LiveTake, now: float) -> dict[str, object]:
    return {
        "room": take.key.room,
        "take": take.key.take,
        "age": round(max(0.0, now - take.touched), 3),
        **take.window.state().to_json(),
    }


def _batches(records: Sequence[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += record.size
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    yield batch
