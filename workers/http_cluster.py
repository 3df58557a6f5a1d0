"""What operators ask over HTTP: the state of all nodes, and which rooms there are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from contracts.errors import BadRequest, DependencyError, StorageUnavailable
from contracts.http import KIND, json_line
from contracts.ids import check_room
from storage.rooms import RoomRecord, RoomStore
from workers.cluster.view import ClusterState, ClusterView, TakeView
from workers.http_pcm import refuse_other_sites
from workers.wishes import recorded

_NOT_KEPT: Final = {"Cache-Control": "no-store"}
_PAGE: Final = 100
_MOST_OF_A_PAGE: Final = 200
_AT_ONCE: Final = 25
"""Records that are looked up together: others look for rooms, too."""


class ClusterHandlers:
    """`GET /cluster.json` and `GET /rooms`."""

    def __init__(self, view: ClusterView, rooms: RoomStore) -> None:
        self._view = view
        self._rooms = rooms

    def add_routes(self, app: web.Application) -> None:
        """Both."""
        app.router.add_route("GET", "/cluster.json", self.cluster)
        app.router.add_route("GET", "/rooms", self.list)

    async def cluster(self, request: web.Request) -> web.Response:
        """Nodes, takes and buses."""
        refuse_other_sites(request)
        request[KIND] = "cluster"
        state = await self._view.look()
        return json_line(state.to_json(), headers=_NOT_KEPT)

    async def list(self, request: web.Request) -> web.Response:
        """Rooms by name, `?limit=` of them `?after=` one; where the storage is away, those that are live."""
        refuse_other_sites(request)
        after, limit = _after(request), _limit(request)
        state = await self._view.look()
        live = {take.key.room: take for take in state.takes if not take.ended}
        trouble = None
        names: Sequence[str] = ()
        try:
            names = await asyncio.to_thread(self._rooms.names)
        except StorageUnavailable as error:
            trouble = error.message
        wanted = sorted(name for name in {*names, *live} if name > after)
        page, more = wanted[:limit], len(wanted) > limit
        records = await self._records(page)
        answer: dict[str, object] = {
            "rooms": [_row(name, records[name], live.get(name), state) for name in page],
            "next": page[-1] if more else None,
        }
        if trouble is not None:
            answer["incomplete"] = trouble
        return json_line(answer, headers=_NOT_KEPT)

    async def _records(self, names: Sequence[str]) -> Mapping[str, RoomRecord | None]:
        found: dict[str, RoomRecord | None] = {}
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            found |= zip(some, await asyncio.gather(*map(self._record, some)), strict=True)
        return found

    async def _record(self, room: str) -> RoomRecord | None:
        try:
            return self._rooms.known(room) or await recorded(self._rooms, room)
        except DependencyError:
            return None


def _row(
    room: str, record: RoomRecord | None, live: TakeView | None, state: ClusterState
) -> dict[str, object]:
    urls = {node.id: node.url for node in state.nodes}
    return {
        "room": room,
        "made": record is not None,
        "title": "" if record is None else record.title,
        "visibility": (record or RoomRecord()).visibility,
        "live": None if live is None else live.to_json(),
        "url": None if live is None or live.owner is None else urls.get(live.owner) or None,
    }


def _after(request: web.Request) -> str:
    after = request.query.get("after", "")
    return check_room(after) if after else ""


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(_PAGE))
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= _MOST_OF_A_PAGE):
        raise BadRequest(f"limit: 1 to {_MOST_OF_A_PAGE}")
    return int(text)
