"""`GET /listen/{room}.json`: where to listen to a room now, and when to ask again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from contracts.errors import DependencyError
from contracts.http import KIND
from contracts.ids import check_room
from contracts.listeners import Tier
from origin.cache_policy import Kind
from origin.http_feed import LookUp
from origin.public import add_public
from origin.representation import Representation, content_etag, represent
from origin.respond import respond
from origin.service import Origin
from origin.signed import sees_private
from origin.whereabouts import Whereabouts
from storage.rooms import RoomRecord

# On the small tiers a room that grows is to move on soon; on the last there is nowhere to hurry to.
_ASK_AGAIN: Final[Mapping[Tier, int]] = {Tier.ORIGIN: 10, Tier.EDGE: 10, Tier.CDN: 20}
# Who waits for a room to begin asks for nothing else meanwhile.
_ASK_AGAIN_WAITING: Final = 3


class ListenHandlers:
    """`/listen/{room}.json`, of the rooms of `origin`. `look_up` gives what a room's host says of it."""

    def __init__(self, origin: Origin, whereabouts: Whereabouts, look_up: LookUp) -> None:
        self._origin = origin
        self._whereabouts = whereabouts
        self._look_up = look_up

    def add_routes(self, app: web.Application) -> None:
        """The one, before that of the page `/listen/{room}`."""
        add_public(app, "/listen/{room}.json", self.where)

    async def where(self, request: web.Request) -> web.StreamResponse:
        """The same for everybody who listens, so that an edge may answer for two seconds."""
        request[KIND] = Kind.LISTEN
        self._origin.refuse_while_filled()
        room = check_room(request.match_info["room"])
        private = sees_private(request)
        record = await self._record(room, private=private)
        return respond(request, self._representation(room, record, private=private))

    async def _record(self, room: str, *, private: bool) -> RoomRecord | None:
        """What the host says, as far as the asker may know. Raises DependencyError where nobody can say.

        A room that is heard now is told of by its id then: the storage, which has a second, is not needed.
        """
        try:
            record = await self._look_up(room)
        except DependencyError:
            if self._origin.running(room, private=private) is None:
                raise
            return None
        return None if record is not None and record.visibility == "private" and not private else record

    def _representation(self, room: str, record: RoomRecord | None, *, private: bool) -> Representation:
        body = json.dumps(self._body(room, record, private=private), ensure_ascii=False)
        data = body.encode(errors="backslashreplace") + b"\n"
        return represent(Kind.LISTEN, "application/json", (data,), content_etag((data,)), {})

    def _body(self, room: str, record: RoomRecord | None, *, private: bool) -> dict[str, object]:
        """Raises NotFound where there is neither a room nor a take that may be shown."""
        find = self._origin.current if record is None else self._origin.find_current
        take = find(room, private=private)
        running = None if take is None or take.window.ended else take
        # Who is not shown the current take hears nothing of its listeners either.
        shown = take is not None and take is self._origin.find_current(room, private=True)
        tier = self._whereabouts.tier(room) if shown else Tier.ORIGIN
        plan = self._whereabouts.plan
        return {
            "room": room,
            "title": (record.title if record else "") or room,
            "live": running is not None,
            "take": None if take is None else take.key.take,
            "private": running.private if running else bool(record and record.visibility == "private"),
            "tier": tier.word,
            "bases": list(plan.bases[tier]),
            "playlist": f"/live/{room}/index.m3u8",
            "listeners": self._whereabouts.listeners(room) if running else 0,
            "ask_again": _ASK_AGAIN[tier] if running else _ASK_AGAIN_WAITING,
            "renew": f"{plan.public_url}/rooms/{room}/listen-token",
        }
