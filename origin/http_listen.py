"""`GET /listen/{room}.json`: where to listen to a room now, and when to ask again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from contracts.http import KIND
from contracts.ids import check_room
from contracts.listeners import Tier
from origin.cache_policy import Kind
from origin.public import add_public
from origin.representation import Representation, content_etag, represent
from origin.respond import respond
from origin.service import Origin
from origin.signed import sees_private
from origin.whereabouts import Whereabouts
from storage.rooms import RoomRecord

RecordOf = Callable[[str], RoomRecord | None]
"""What a room's host says of it, from memory: None where nobody does, or that was not looked up yet."""
# On the small tiers a room that grows is to move on soon; on the last there is nowhere to hurry to.
_ASK_AGAIN: Final[Mapping[Tier, int]] = {Tier.ORIGIN: 10, Tier.EDGE: 10, Tier.CDN: 20}


class ListenHandlers:
    """`/listen/{room}.json`, of the rooms of `origin`."""

    def __init__(self, origin: Origin, whereabouts: Whereabouts, record_of: RecordOf) -> None:
        self._origin = origin
        self._whereabouts = whereabouts
        self._record_of = record_of

    def add_routes(self, app: web.Application) -> None:
        """The one, before that of the page `/listen/{room}`."""
        add_public(app, "/listen/{room}.json", self.where)

    async def where(self, request: web.Request) -> web.StreamResponse:
        """The same for everybody who listens, so that an edge may answer for two seconds."""
        request[KIND] = Kind.LISTEN
        self._origin.refuse_while_filled()
        room = check_room(request.match_info["room"])
        return respond(request, self._representation(room, private=sees_private(request)))

    def _representation(self, room: str, *, private: bool) -> Representation:
        body = json.dumps(self._body(room, private=private), ensure_ascii=False)
        data = body.encode(errors="backslashreplace") + b"\n"
        return represent(Kind.LISTEN, "application/json", (data,), content_etag((data,)), {})

    def _body(self, room: str, *, private: bool) -> dict[str, object]:
        """Raises NotFound where there is neither a room nor a take that may be shown."""
        record = self._record_of(room)
        if record is not None and record.visibility == "private" and not private:
            record = None
        if record is None:
            self._origin.current(room, private=private)
        take = self._origin.running(room, private=private)
        # Who is not shown the running take hears nothing of its listeners either.
        tier = Tier.ORIGIN if take is None else self._whereabouts.tier(room)
        plan = self._whereabouts.plan
        return {
            "room": room,
            "title": (record.title if record else "") or room,
            "live": take is not None,
            "take": None if take is None else take.key.take,
            "private": take.private if take else bool(record and record.visibility == "private"),
            "tier": tier.word,
            "bases": list(plan.bases[tier]),
            "playlist": f"/live/{room}/index.m3u8",
            "listeners": 0 if take is None else self._whereabouts.listeners(room),
            "ask_again": _ASK_AGAIN[tier],
            "renew": f"{plan.public_url}/rooms/{room}/listen-token",
        }
