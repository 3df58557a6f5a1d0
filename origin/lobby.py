"""`GET /rooms.json`: the rooms that are live, and those that have published replays, for anybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from aiohttp import web

from contracts.errors import StorageUnavailable
from contracts.http import KIND
from origin.cache_policy import Kind
from origin.live_take import LiveTake
from origin.public import add_public
from origin.replays import Replays
from origin.representation import Representation, content_etag, represent
from origin.respond import respond
from origin.service import Origin
from pipeline.grid import SAMPLE_RATE
from storage.entry import ReplayEntry

TitleOf = Callable[[str], str | None]
"""A room's title, or None where it is not to be listed."""
Rooms = Mapping[str, Sequence[ReplayEntry]]
"""Published replays by room, newest first; the room of the newest one first."""
_REPLAYS_OF_A_ROOM: Final = 3
# A lobby is asked for every few seconds; rooms grow in number for ever.
_QUIET_ROOMS: Final = 100
# Who is live is not kept back by a storage that has never answered. One that once has is waited for for a
# second, by the list itself, which then gives what it knew.
_WAIT_SECONDS: Final = 2.0


class LobbyHandlers:
    """`/rooms.json`. A room that nobody gave a title is listed under its id.

    `listeners_of` counts who listens to a room.
    """

    def __init__(
        self,
        origin: Origin,
        title_of: TitleOf,
        listeners_of: Callable[[str], int],
        replays: Replays | None = None,
    ) -> None:
        self._origin = origin
        self._listeners_of = listeners_of
        self._title_of = title_of
        self._replays = replays

    def add_routes(self, app: web.Application) -> None:
        """The one."""
        add_public(app, "/rooms.json", self.rooms)

    async def rooms(self, request: web.Request) -> web.StreamResponse:
        """The rooms in the order of their ids, so that equal lobbies have equal ETags."""
        request[KIND] = Kind.LOBBY
        return respond(request, self._representation(await self._kept()))

    async def _kept(self) -> Rooms:
        """What was kept of rooms; while the storage was never read, who is live is shown all the same."""
        if self._replays is None:
            return {}
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                return await self._replays.rooms()
        except (StorageUnavailable, TimeoutError):
            return {}

    def _representation(self, kept: Rooms) -> Representation:
        live = {take.key.room: take for take in self._origin.live_takes()}
        quiet = (room for room in kept if room not in live)
        titled = ((room, self._title_of(room)) for room in quiet)
        listed = {room: title for room, title in titled if title is not None}
        rooms = [
            *self._live(live.values(), kept),
            *(_quiet(room, listed[room] or room, kept[room]) for room in islice(listed, _QUIET_ROOMS)),
        ]
        rooms.sort(key=lambda room: str(room["room"]))
        body = json.dumps({"rooms": rooms}, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        return represent(Kind.LOBBY, "application/json", (body,), content_etag((body,)), {})

    def _live(self, takes: Iterable[LiveTake], kept: Rooms) -> list[dict[str, object]]:
        titled = [(take, self._title_of(take.key.room)) for take in takes]
        return [
            {
                **_live(take, title or take.key.room, kept.get(take.key.room, ())),
                "listeners": self._listeners_of(take.key.room),
            }
            for take, title in titled
            if title is not None
        ]


def _live(take: LiveTake, title: str, replays: Sequence[ReplayEntry]) -> dict[str, object]:
    room = take.key.room
    return {
        "room": room,
        "title": title,
        "live": True,
        "take": take.key.take,
        "started_at": _instant(take.header.epoch_us),
        "listen": f"/listen/{room}",
        "playlist": f"/live/{room}/index.m3u8",
        "replays": _newest(replays),
    }


def _quiet(room: str, title: str, replays: Sequence[ReplayEntry]) -> dict[str, object]:
    """A room that is not live: its newest replays."""
    return {
        "room": room,
        "title": title,
        "live": False,
        "listen": f"/listen/{room}",
        "replays": _newest(replays),
    }


def _newest(replays: Sequence[ReplayEntry]) -> list[dict[str, object]]:
    return [
        {
            "take": entry.key.take,
            "title": entry.title,
            "started_at": _instant(entry.epoch_us),
            "seconds": round(entry.samples / SAMPLE_RATE, 3),
            "page": f"/replay/{entry.key.room}/{entry.key.take}",
            "m4a": f"/replay/{entry.key.room}/{entry.key.take}.m4a",
        }
        for entry in replays[:_REPLAYS_OF_A_ROOM]
    ]


def _instant(epoch_us: int) -> str:
    instant = datetime.fromtimestamp(epoch_us / 1_000_000, tz=UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
