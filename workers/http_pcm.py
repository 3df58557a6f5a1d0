"""PCM in: `PUT /pcm/{room}` with a chunked body, and `GET /pcm/{room}/ws` with one message after another.

Both take s16le at 48 kHz; the second in the shape in which LiveKit's track egress sends it. A sender that is
faster than time is paced by not being read; everything about a request is decided before its body is read.
"""

from __future__ import annotations

import json
from typing import Final

from aiohttp import ClientPayloadError, WebSocketError, WSMsgType, hdrs, web

from contracts.access import GRANT
from contracts.errors import BadRequest, Forbidden, LivesElsewhere, LongwaveError
from contracts.http import expect_later, go_on, json_line, refuse_encoding
from contracts.ids import check_room, check_speaker
from storage.rooms import RoomSound
from workers.ingest import Ingest
from workers.relay import Relay
from workers.relay_socket import close_for
from workers.speaker import PcmSpeaker

# More than a second of stereo in one message is no live sender.
MAX_MESSAGE_BYTES: Final = 256 * 1024
# A browser or SFU that vanished is noticed within about this time.
_PING_SECONDS: Final = 15.0
_INVALID_PAYLOAD: Final = 1007


class PcmHandlers:
    """The two doors for PCM. With a `relay`, senders into rooms of other ingests are taken to these."""

    def __init__(self, ingest: Ingest, relay: Relay | None = None) -> None:
        self._ingest = ingest
        self._relay = relay

    def add_routes(self, app: web.Application) -> None:
        """Both."""
        app.router.add_route("PUT", "/pcm/{room}", self.put, expect_handler=expect_later)
        app.router.add_route("GET", "/pcm/{room}/ws", self.websocket)

    async def put(self, request: web.Request) -> web.StreamResponse:
        """`PUT /pcm/{room}?channels=1&speaker=NAME`: answered when all of it is on the bus."""
        refuse_encoding(request)
        try:
            speaker = await self._connect(request, live=False)
        except LivesElsewhere as there:
            if self._relay is None:
                raise
            return await self._relay.send(request, request.match_info["room"], there.url)
        try:
            with speaker.attached():
                await go_on(request)
                await self._read(request, speaker)
                self._ingest.finish(speaker)
                await speaker.played()
        finally:
            self._ingest.leave(speaker)
        _check_body(speaker)
        return json_line({"room": speaker.room, "take": speaker.take, **_report(speaker)})

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """`GET /pcm/{room}/ws?channels=1&speaker=NAME`: binary s16le, text such as `{"muted": true}`."""
        socket = web.WebSocketResponse(
            heartbeat=_PING_SECONDS, max_msg_size=MAX_MESSAGE_BYTES, compress=False
        )
        if not socket.can_prepare(request):
            raise BadRequest("this address speaks WebSocket: send PCM in a body with PUT /pcm/{room}")
        refuse_other_sites(request)
        try:
            speaker = await self._connect(request, live=True)
        except LivesElsewhere as there:
            if self._relay is None:
                raise
            return await self._relay.talk(request, socket, request.match_info["room"], there.url)
        try:
            await socket.prepare(request)
            with speaker.attached():
                await self._listen(socket, speaker)
        except _BadMessage as error:
            self._ingest.drop(speaker, "garbage", error)
            await close_for(socket, error, _INVALID_PAYLOAD)
        except LongwaveError as error:
            await close_for(socket, error)
        finally:
            self._ingest.leave(speaker)
        return socket

    async def _connect(self, request: web.Request, *, live: bool) -> PcmSpeaker:
        room = check_room(request.match_info["room"])
        channels = request.query.get("channels", "1")
        if channels not in {"1", "2"}:
            raise BadRequest("channels: 1 or 2")
        asked, grant = request.query.get("speaker"), request[GRANT]
        name = grant.speaks_as(None if asked is None else check_speaker(asked))
        return await self._ingest.connect(
            room, name, int(channels), grant=grant, sound=_sound(request), live=live
        )

    async def _read(self, request: web.Request, speaker: PcmSpeaker) -> None:
        try:
            while data := await request.content.readany():
                self._ingest.feed(speaker, data)
                await speaker.paced()
        except (ClientPayloadError, ConnectionError):
            raise BadRequest("the body stopped half way") from None

    async def _listen(self, socket: web.WebSocketResponse, speaker: PcmSpeaker) -> None:
        async for message in socket:
            match message.type:
                case WSMsgType.BINARY:
                    if len(message.data) % (2 * speaker.intake.channels):
                        raise _BadMessage("a message holds whole samples of s16le, of all channels")
                    self._ingest.feed(speaker, message.data)
                    await speaker.paced()
                case WSMsgType.TEXT:
                    _obey(message.data, speaker)
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    raise _BadMessage(f"not a message that can be read: {message.data}")
                case _:
                    break


def _sound(request: web.Request) -> RoomSound | None:
    """What is to be done to this one's sound, whatever the room says."""
    match request.query.get("sound"):
        case None:
            return None
        case "voice" | "as-is" as sound:
            return sound
        case _:
            raise BadRequest("sound: voice (filtered and levelled) or as-is")


class _BadMessage(BadRequest):
    """A message that is neither PCM nor a known JSON object."""


def _report(speaker: PcmSpeaker) -> dict[str, object]:
    """What became of a sender's samples."""
    intake = speaker.intake
    return {"samples": intake.taken, "silence": intake.silence, "dropped": intake.dropped}


def _check_body(speaker: PcmSpeaker) -> None:
    if speaker.odd_bytes:
        raise BadRequest(
            f"the body ends inside a sample, {speaker.odd_bytes} bytes over; what came before was taken: "
            f"send s16le with {speaker.intake.channels} channel(s)"
        )
    if not speaker.intake.received:
        raise BadRequest("the body was empty: send s16le PCM at 48 kHz")


def _obey(text: str, speaker: PcmSpeaker) -> None:
    """`{"muted": bool}`; other members of the object are for others."""
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        words = None
    if not isinstance(words, dict):
        raise _BadMessage('a text message is a JSON object such as {"muted": true}')
    match words.get("muted"):
        case True:
            speaker.intake.mute()
        case False:
            speaker.intake.unmute()
        case None if "muted" not in words:
            pass
        case _:
            raise _BadMessage("muted: true or false")


def refuse_other_sites(request: web.Request) -> None:
    """Browsers let any page open a WebSocket to any host, or post to it (RFC 6455 10.2): only our own may.

    Raises Forbidden.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and origin.partition("://")[2] != request.host:
        raise Forbidden("a page of another site cannot speak here")
