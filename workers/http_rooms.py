"""Rooms over HTTP: `PUT`, `GET`, `DELETE /rooms/{room}` and `POST /rooms/{room}/end`."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from contracts.errors import Busy, UnknownRoom
from contracts.http import json_line, read_json
from contracts.ids import check_room
from storage.rooms import RoomRecord, RoomStore
from workers.http_pcm import refuse_other_sites, report
from workers.ingest import Ingest

_MAX_BODY: Final = 16 * 1024


class RoomHandlers:
    """What a host does with rooms."""

    def __init__(self, ingest: Ingest, rooms: RoomStore) -> None:
        self._ingest = ingest
        self._rooms = rooms

    async def put(self, request: web.Request) -> web.Response:
        """Create a room or change it, for the next take: 201 or 200, and the record."""
        room = self._admit(request)
        record = RoomRecord.from_json(await read_json(request, _MAX_BODY))
        new = await asyncio.to_thread(self._rooms.put, room, record)
        return json_line({"room": room, **record.to_json()}, 201 if new else 200)

    async def get(self, request: web.Request) -> web.Response:
        """The record, and the live take if there is one."""
        room = self._admit(request)
        record = await asyncio.to_thread(self._rooms.get, room)
        live = self._live(room)
        if record is None and live is None:
            raise UnknownRoom("no such room: create it with PUT /rooms/{room}, or send into it")
        answer = {"room": room, **(record or RoomRecord()).to_json(), "live": live}
        return json_line(answer, headers={"Cache-Control": "no-store"})

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a room that is not live."""
        room = self._admit(request)
        if self._live(room) is not None:
            raise Busy("this room is live: end it first, with POST /rooms/{room}/end")
        if not await asyncio.to_thread(self._rooms.delete, room):
            raise UnknownRoom("no such room")
        return web.Response(status=204)

    async def end(self, request: web.Request) -> web.Response:
        """End the take; its speaker's connection is closed."""
        room = self._admit(request)
        key, samples = self._ingest.end(room)
        return json_line({"room": key.room, "take": key.take, "samples": samples})

    @staticmethod
    def _admit(request: web.Request) -> str:
        refuse_other_sites(request)
        return check_room(request.match_info["room"])

    def _live(self, room: str) -> dict[str, object] | None:
        owner, speaker = self._ingest.live_take(room)
        if owner is None:
            return None
        speakers = [] if speaker is None else [{"speaker": speaker.name, **report(speaker)}]
        bus = owner.bus
        return {
            "take": bus.key.take,
            "epoch_us": bus.header.epoch_us,
            "sample": bus.top,
            "speakers": speakers,
        }
