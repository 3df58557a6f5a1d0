"""The *For workers* table over HTTP. What may be put is for the service to decide."""

from __future__ import annotations

from functools import partial
from typing import Final

from aiohttp import web

from contracts.errors import BadRequest, Forbidden
from contracts.http import CORS, expect_later, json_line, read_body, read_json
from contracts.ids import check_rendition, check_room, check_take
from contracts.take import TakeEvent, TakeHeader, TakeKey
from origin.cache_policy import CACHE_CONTROL, Kind
from origin.service import Origin
from pipeline.window import Put

MAX_JSON: Final = 64 * 2**10
MAX_INIT: Final = 64 * 2**10
MAX_PART: Final = 2**20
MAX_SEGMENT: Final = 4 * 2**20
NUMBER: Final = "(?:0|[1-9][0-9]{0,11})"
TAKE: Final = "/publish/{room}/{take}"
_HEADERS: Final = {"Cache-Control": CACHE_CONTROL[Kind.PUBLISH], **CORS}
_STATUS: Final = {Put.NEW: 201, Put.SAME: 204, Put.IGNORED: 204}


class PublishHandlers:
    """`/publish/…`."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def add_routes(self, app: web.Application) -> None:
        """Parts first: there are the most of them."""
        line = f"{TAKE}/{{rendition}}"
        add = partial(app.router.add_route, expect_handler=expect_later)
        add("PUT", f"{line}/{{msn:{NUMBER}}}.{{part:{NUMBER}}}.m4s", self.part)
        add("PUT", f"{line}/{{msn:{NUMBER}}}.m4s", self.segment)
        add("PUT", f"{line}/{{msn:{NUMBER}}}.gap", self.gap)
        add("PUT", f"{line}/init.mp4", self.init)
        add("PUT", f"{TAKE}/events/{{event}}.json", self.event)
        add("PUT", f"{TAKE}/take.json", self.take)
        add("POST", f"{TAKE}/end", self.end)
        app.router.add_get(TAKE, self.state)

    async def take(self, request: web.Request) -> web.Response:
        """`take.json`, which comes first."""
        key = self._admit(request)
        return _answer(self._origin.put_take(key, TakeHeader.from_json(await read_json(request, MAX_JSON))))

    async def init(self, request: web.Request) -> web.Response:
        """A rendition's CMAF header."""
        key = self._admit(request)
        rendition = check_rendition(request.match_info["rendition"])
        return _answer(self._origin.put_init(key, rendition, await read_body(request, MAX_INIT)))

    async def part(self, request: web.Request) -> web.Response:
        """One part."""
        key = self._admit(request)
        where = request.match_info
        rendition = check_rendition(where["rendition"])
        data = await read_body(request, MAX_PART)
        return _answer(self._origin.put_part(key, rendition, int(where["msn"]), int(where["part"]), data))

    async def segment(self, request: web.Request) -> web.Response:
        """A whole past segment."""
        key = self._admit(request)
        rendition = check_rendition(request.match_info["rendition"])
        data = await read_body(request, MAX_SEGMENT)
        return _answer(self._origin.put_segment(key, rendition, int(request.match_info["msn"]), data))

    async def gap(self, request: web.Request) -> web.Response:
        """A segment that will not come."""
        key = self._admit(request)
        rendition = check_rendition(request.match_info["rendition"])
        await read_body(request, 0)
        return _answer(self._origin.put_gap(key, rendition, int(request.match_info["msn"])))

    async def event(self, request: web.Request) -> web.Response:
        """A chapter, or who speaks."""
        key = self._admit(request)
        body = await read_json(request, MAX_JSON)
        return _answer(self._origin.put_event(key, TakeEvent.from_json(request.match_info["event"], body)))

    async def end(self, request: web.Request) -> web.Response:
        """The take's end."""
        key = self._admit(request)
        return _answer(self._origin.end(key, _samples(await read_json(request, MAX_JSON))))

    async def state(self, request: web.Request) -> web.Response:
        """What is here of a take."""
        key = self._admit(request)
        return json_line(self._origin.state(key).to_json(), headers=_HEADERS)

    def _admit(self, request: web.Request) -> TakeKey:
        """Which take it is about. Raises Forbidden, BadRequest, or NotReady while this origin is filled."""
        refuse_pages(request)
        key = key_of(request)
        self._origin.refuse_while_filled()
        return key


def refuse_pages(request: web.Request) -> None:
    """Raise Forbidden for what a web page sends."""
    # On an open origin any page could end takes: a browser may POST text anywhere, and says from where.
    if "Origin" in request.headers:
        raise Forbidden("workers publish, web pages do not: leave out the Origin header")


def key_of(request: web.Request) -> TakeKey:
    """Which take a request is about. Raises BadRequest."""
    where = request.match_info
    return TakeKey(check_room(where["room"]), check_take(where["take"]))


def _answer(put: Put) -> web.Response:
    return web.Response(status=_STATUS[put], headers=_HEADERS)


def _samples(body: object) -> int:
    match body:
        # bool is an int to Python, but `true` is no number to JSON.
        case {"samples": int(samples)} if not isinstance(samples, bool) and 0 <= samples < 2**63:
            return samples
        case _:
            raise BadRequest('an end is {"samples": N}: the take\'s length in samples')
