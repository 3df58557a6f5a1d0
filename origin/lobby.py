"""`GET /rooms.json`: the rooms that are live, for anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from contracts.http import KIND
from origin.cache_policy import Kind
from origin.live_take import LiveTake
from origin.public import add_public
from origin.representation import Representation, content_etag, represent
from origin.respond import respond
from origin.service import Origin

TitleOf = Callable[[str], str | None]
"""A room's title, or None where it is not to be listed."""


class LobbyHandlers:
    """`/rooms.json`. A room that nobody gave a title is listed under its id."""

    def __init__(self, origin: Origin, title_of: TitleOf) -> None:
        self._origin = origin
        self._title_of = title_of

    def add_routes(self, app: web.Application) -> None:
        """The one."""
        add_public(app, "/rooms.json", self.rooms)

    async def rooms(self, request: web.Request) -> web.StreamResponse:
        """The rooms in the order of their ids, so that equal lobbies have equal ETags."""
        request[KIND] = Kind.LOBBY
        return respond(request, self._representation())

    def _representation(self) -> Representation:
        takes = sorted(self._origin.live_takes(), key=lambda take: take.key)
        titled = [(take, self._title_of(take.key.room)) for take in takes]
        rooms = [_entry(take, title) for take, title in titled if title is not None]
        body = json.dumps({"rooms": rooms}, ensure_ascii=False).encode() + b"\n"
        return represent(Kind.LOBBY, "application/json", (body,), content_etag((body,)), {})


def _entry(take: LiveTake, title: str) -> dict[str, object]:
    room = take.key.room
    started = datetime.fromtimestamp(take.header.epoch_us / 1_000_000, tz=UTC)
    return {
        "room": room,
        "title": title or room,
        "live": True,
        "take": take.key.take,
        "started_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "listen": f"/listen/{room}",
        "playlist": f"/live/{room}/index.m3u8",
        "listeners": take.listeners(),
    }
