"""The ingest's routes."""

from __future__ import annotations

from aiohttp import web

from contracts.http import expect_later
from storage.rooms import RoomStore
from workers.http_pcm import PcmHandlers
from workers.http_rooms import RoomHandlers
from workers.ingest import Ingest


def add_routes(app: web.Application, ingest: Ingest, rooms: RoomStore) -> None:
    """Let speakers and hosts in through `app`; errors, and who may, are left to its middleware."""
    pcm = PcmHandlers(ingest)
    app.router.add_route("PUT", "/pcm/{room}", pcm.put, expect_handler=expect_later)
    app.router.add_route("GET", "/pcm/{room}/ws", pcm.websocket)
    host = RoomHandlers(ingest, rooms)
    app.router.add_route("PUT", "/rooms/{room}", host.put, expect_handler=expect_later)
    app.router.add_route("GET", "/rooms/{room}", host.get)
    app.router.add_route("DELETE", "/rooms/{room}", host.delete)
    app.router.add_route("POST", "/rooms/{room}/end", host.end)
