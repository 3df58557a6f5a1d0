"""Rooms over HTTP, and the host's hand: what is in a room, who is heard, chapters, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from aiohttp import ETag, web
from aiohttp.helpers import ETAG_ANY

from contracts.access import GRANT, Grant, gate_of
from contracts.errors import BadRequest, Busy, DependencyError, LivesElsewhere, UnknownRoom
from contracts.http import expect_later, json_line, read_json
from contracts.ids import check_room, check_speaker, check_title
from storage.room_record import etag_of
from storage.rooms import OnlyIf, RoomRecord, RoomStore
from workers.http_pcm import refuse_other_sites
from workers.ingest import Ingest
from workers.relay import Relay
from workers.wishes import recorded

_MAX_BODY: Final = 16 * 1024
_SPEAKER: Final = "/rooms/{room}/speakers/{name}"
_NOT_KEPT: Final = {"Cache-Control": "no-store"}

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class RoomHandlers:
    """What hosts do with rooms, and speakers may see of theirs. `listeners_of` counts who listens to one.

    With a `relay`, whatever concerns a take is asked of the ingest that owns it.
    """

    def __init__(
        self, ingest: Ingest, rooms: RoomStore, listeners_of: Callable[[str], int], relay: Relay | None = None
    ) -> None:
        self._ingest = ingest
        self._rooms = rooms
        self._listeners_of = listeners_of
        self._relay = relay

    def add_routes(self, app: web.Application) -> None:
        """All under `/rooms/{room}`."""
        add = partial(app.router.add_route, expect_handler=expect_later)
        add("PUT", "/rooms/{room}", self.put)
        for method, path, answer in (
            ("GET", "/rooms/{room}", self.get),
            ("DELETE", "/rooms/{room}", self.delete),
            ("POST", "/rooms/{room}/end", self.end),
            ("POST", "/rooms/{room}/chapters", self.chapter),
            ("POST", f"{_SPEAKER}/mute", self.mute),
            ("POST", f"{_SPEAKER}/unmute", self.unmute),
            ("DELETE", _SPEAKER, self.remove),
        ):
            add(method, path, self._at_owner(answer))

    def _at_owner(self, answer: _Handler) -> _Handler:
        """`answer`, or that of the room's owner where it is another ingest's.

        A take whose owner is gone is taken up first: who has a wish for it is not told that there is none.
        """
        relay = self._relay
        if relay is None:
            return answer

        async def answer_or_ask(request: web.Request) -> web.Response:
            room = _room(request)
            # A take that lives here is answered for here, also while no bus says whose it is.
            if self._ingest.live(room) is not None:
                return await answer(request)
            url = await relay.owner_of(room)
            if url is None:
                try:
                    await self._ingest.attend(room)
                except LivesElsewhere as elsewhere:
                    url = elsewhere.url
            return await (answer(request) if url is None else relay.ask(request, url))

        return answer_or_ask

    async def put(self, request: web.Request) -> web.Response:
        """Create a room or change it, for the next take: 201 or 200, and the record."""
        room = _room(request)
        record = RoomRecord.from_json(await read_json(request, _MAX_BODY))
        if record.private and gate_of(request.app).listen is None:
            raise BadRequest(
                "visibility: everything is open here, nothing private: set LONGWAVE_TOKEN or LONGWAVE_KEYS"
            )
        new = await asyncio.to_thread(self._rooms.put, room, record, only_if(request))
        headers = {"ETag": f'"{etag_of(record.to_bytes())}"'}
        return json_line({"room": room, **record.to_json()}, 201 if new else 200, headers)

    async def get(self, request: web.Request) -> web.Response:
        """The record, the live take if there is one, how many listen, and who is asking."""
        room = _room(request)
        try:
            record = await recorded(self._rooms, room)
        except DependencyError:
            # A live room is shown whatever becomes of the storage: its page asks again and again.
            if self._ingest.live(room) is None:
                raise
            record = None
        live = self._ingest.live(room)
        if record is None and live is None:
            raise _NoRoomYet(request[GRANT])
        answer = {
            "room": room,
            **(record or RoomRecord()).to_json(),
            "live": None if live is None else live.to_json(),
            "listeners": self._listeners_of(room),
            "you": _you(request[GRANT]),
        }
        # The ETag is the record's alone: what a host read and wants to change (If-Match).
        etag = {"ETag": f'"{record.etag}"'} if record is not None else {}
        return json_line(answer, headers=_NOT_KEPT | etag)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a room that is not live."""
        room = _room(request)
        if self._ingest.live(room) is not None:
            raise Busy("this room is live: end it first, with POST /rooms/{room}/end")
        if not await asyncio.to_thread(self._rooms.delete, room, only_if(request)):
            raise UnknownRoom("no such room")
        return web.Response(status=204)

    async def end(self, request: web.Request) -> web.Response:
        """End the take; its speakers' connections are closed."""
        key, samples = self._ingest.end(_room(request))
        await self._ingest.secure_end(key)
        return json_line({"room": key.room, "take": key.take, "samples": samples})

    async def chapter(self, request: web.Request) -> web.Response:
        """`{"title": …}`: a chapter begins at the current instant. 201 with its sample."""
        room = _room(request)
        title = _title(await read_json(request, _MAX_BODY))
        event = self._ingest.chapter(room, title)
        return json_line({"room": room, "sample": event.sample, "title": event.title}, 201)

    async def mute(self, request: web.Request) -> web.Response:
        """Nobody hears the speaker in this take, until `unmute`; also not after connecting again."""
        room, name = _speaker(request)
        self._ingest.mute(room, name)
        return json_line({"room": room, "name": name, "muted": True})

    async def unmute(self, request: web.Request) -> web.Response:
        """The speaker is heard again."""
        room, name = _speaker(request)
        self._ingest.unmute(room, name)
        return json_line({"room": room, "name": name, "muted": False})

    async def remove(self, request: web.Request) -> web.Response:
        """Close the speaker's connection; neither the name nor the token comes back in this take."""
        self._ingest.remove(*_speaker(request))
        return web.Response(status=204)


class _NoRoomYet(UnknownRoom):
    """Nobody has made this room or spoken in it; who asks may be the first, and is told who they are."""

    def __init__(self, grant: Grant) -> None:
        super().__init__("no such room: create it with PUT /rooms/{room}, or send into it")
        self._grant = grant

    def details(self) -> dict[str, object]:
        """`{"you": …}`, as with a room."""
        return {"you": _you(self._grant)}


def only_if(request: web.Request) -> OnlyIf | None:
    """What If-Match and If-None-Match want of the record that is there (RFC 9110 13.1); None: anything."""
    wanted, unwanted = request.if_match, request.if_none_match
    if wanted is None and unwanted is None:
        return None

    # A weak tag is good enough to find what is not wanted, and too weak for what is to be changed.
    strong = None if wanted is None else [tag for tag in wanted if not tag.is_weak]

    def holds(etag: str | None) -> bool:
        return (strong is None or _named(etag, strong)) and (unwanted is None or not _named(etag, unwanted))

    return holds


def _named(etag: str | None, tags: Iterable[ETag]) -> bool:
    return etag is not None and any(tag.value in {ETAG_ANY, etag} for tag in tags)


def _you(grant: Grant) -> dict[str, object]:
    return {"role": grant.role, "name": grant.name}


def _room(request: web.Request) -> str:
    refuse_other_sites(request)
    return check_room(request.match_info["room"])


def _speaker(request: web.Request) -> tuple[str, str]:
    return _room(request), check_speaker(request.match_info["name"])


def _title(body: object) -> str:
    match body:
        case {"title": str(title), **others} if not others:
            return check_title(title)
        case _:
            raise BadRequest('a chapter is {"title": "…"}')
