"""WHIP over HTTP (RFC 9725): `POST /whip/{room}`, and `PATCH` and `DELETE` of the session that it makes."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from contracts.access import GRANT
from contracts.errors import (
    BadRequest,
    LivesElsewhere,
    PreconditionFailed,
    PreconditionRequired,
    UnknownSession,
    UnprocessableOffer,
    UnsupportedEncoding,
)
from contracts.http import CORS, KIND, expect_later, read_body
from contracts.ids import check_room, check_speaker
from contracts.metrics import Metrics
from workers.http_pcm import refuse_other_sites
from workers.relay import Relay
from workers.whip.candidates import read_fragment
from workers.whip.offer import read_offer
from workers.whip.session import Session, VoiceIngest
from workers.whip.sessions import Sessions
from workers.whip.settings import WhipSettings

_KIND: Final = "whip"
_MAX_SDP: Final = 64 * 1024
_SDP: Final = "application/sdp"
_FRAGMENT: Final = "application/trickle-ice-sdpfrag"
# What a page of another site may read of the answer, and send to it.
_EXPOSED: Final = {"Access-Control-Expose-Headers": "Location, Link, ETag"}
_PREFLIGHT: Final = {
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, Prefer",
    "Access-Control-Max-Age": "86400",
}
# How a client asks (RFC 7240) not to be sent to another ingest; see docs/http.md.
_RELAY: Final = "relay"


def add_whip_routes(
    app: web.Application,
    ingest: VoiceIngest,
    settings: WhipSettings,
    metrics: Metrics,
    relay: Relay | None = None,
) -> None:
    """Let speakers in by WebRTC; their sessions end when the app does. `relay` leads to other ingests."""
    sessions = Sessions(ingest, settings, metrics)
    handlers = WhipHandlers(sessions, settings, relay)

    async def stop(_app: web.Application) -> None:
        await sessions.stop()

    app.on_shutdown.append(stop)
    app.router.add_route("OPTIONS", "/whip/{room}", handlers.options)
    app.router.add_route("POST", "/whip/{room}", handlers.post, expect_handler=expect_later)
    app.router.add_route("OPTIONS", "/whip/{room}/{session}", handlers.session_options)
    app.router.add_route("PATCH", "/whip/{room}/{session}", handlers.patch, expect_handler=expect_later)
    app.router.add_route("DELETE", "/whip/{room}/{session}", handlers.delete)


class WhipHandlers:
    """The endpoint and its sessions; with a `relay` also what concerns sessions at other ingests."""

    def __init__(self, sessions: Sessions, settings: WhipSettings, relay: Relay | None = None) -> None:
        self._sessions = sessions
        self._settings = settings
        self._relay = relay
        self._links = [server.link() for server in settings.ice_servers]

    async def options(self, request: web.Request) -> web.Response:
        """The preflight of pages of other sites; what is taken here (RFC 9725 4.2)."""
        return _preflight(request, "POST", {"Accept-Post": _SDP})

    async def session_options(self, request: web.Request) -> web.Response:
        """The same of a session."""
        return _preflight(request, "PATCH, DELETE", {"Accept-Patch": _FRAGMENT})

    async def post(self, request: web.Request) -> web.Response:
        """An offer in, 201 and the answer out. Everything is checked before a socket is opened.

        Where another ingest owns the room: 307 to it (RFC 9725 4.5), or its answer for who prefers that.
        """
        room = self._admit(request)
        body = await _read(request, _SDP)
        offer = read_offer(body)
        grant = request[GRANT]
        asked = request.query.get("speaker")
        name = grant.speaks_as(None if asked is None else check_speaker(asked))
        try:
            session, answer = await self._sessions.open(room, name, grant, offer)
        except LivesElsewhere as there:
            if self._relay is not None and _prefers_relay(request):
                return await self._relay.ask(request, there.url, body.encode())
            location = there.url.rstrip("/") + request.rel_url.raw_path_qs
            raise LivesElsewhere(there.url, location) from None
        response = web.Response(
            # As bytes: aiohttp adds a charset to text, and some encoders compare the whole header.
            body=answer.encode(),
            status=201,
            content_type=_SDP,
            headers={
                **CORS,
                **_EXPOSED,
                "Location": f"/whip/{room}/{session.id}",
                "ETag": session.etag,
                "Cache-Control": "no-store",
            },
        )
        for link in self._links:
            response.headers.add("Link", link)
        return response

    async def patch(self, request: web.Request) -> web.Response:
        """Trickled candidates: 204. An ICE restart is not taken: who has a new network connects again."""
        found = await self._find(request)
        if isinstance(found, web.Response):
            return found
        _match(request.headers.get(hdrs.IF_MATCH), found.etag)
        fragment = read_fragment(await _read(request, _FRAGMENT))
        if fragment.ufrag is not None and fragment.ufrag != found.ufrag:
            raise _restart()
        if not await found.add(fragment.candidates):
            raise UnprocessableOffer("too many candidates for one session")
        return web.Response(status=204, headers=CORS)

    async def delete(self, request: web.Request) -> web.Response:
        """The end of the session, whatever If-Match says (RFC 9725 4.3.1)."""
        found = await self._find(request)
        if isinstance(found, web.Response):
            return found
        found.delete()
        return web.Response(status=200, headers=CORS)

    async def _find(self, request: web.Request) -> Session | web.Response:
        """The session, or what the room's owner answers: who was relayed has an address here.

        RFC 9725 4.5 promises no redirection of PATCH and DELETE.
        """
        room = self._admit(request)
        try:
            return self._sessions.find(room, request.match_info["session"])
        except UnknownSession:
            url = None if self._relay is None else await self._relay.owner_of(room)
            if self._relay is None or url is None:
                raise
            return await self._relay.ask(request, url)

    def _admit(self, request: web.Request) -> str:
        request[KIND] = _KIND
        if not self._settings.other_sites:
            refuse_other_sites(request)
        return check_room(request.match_info["room"])


def _preflight(request: web.Request, methods: str, accepted: dict[str, str]) -> web.Response:
    request[KIND] = _KIND
    allowed = {"Allow": f"OPTIONS, {methods}", "Access-Control-Allow-Methods": methods}
    return web.Response(status=204, headers={**CORS, **_PREFLIGHT, **allowed, **accepted})


def _prefers_relay(request: web.Request) -> bool:
    preferences = ",".join(request.headers.getall("Prefer", ())).lower().split(",")
    return _RELAY in (each.strip() for each in preferences)


async def _read(request: web.Request, content_type: str) -> str:
    """The body as text. Raises UnsupportedEncoding, TooLarge, BadRequest, SenderTimeout."""
    if request.content_type.lower() != content_type:
        raise UnsupportedEncoding(f"send it with Content-Type: {content_type}")
    try:
        return (await read_body(request, _MAX_SDP)).decode()
    except UnicodeDecodeError:
        raise BadRequest("this is no SDP: it is not UTF-8") from None


def _match(if_match: str | None, etag: str) -> None:
    """RFC 9725 4.3.2 and 4.3.3: a trickle names its ICE session, a restart says `*`."""
    if if_match is None:
        raise PreconditionRequired("send If-Match with the ETag of the 201 answer")
    if if_match.strip() == "*":
        raise _restart()
    if etag not in (tag.strip() for tag in if_match.split(",")):
        raise PreconditionFailed(
            "If-Match names another ICE session: this one has the ETag of the 201 answer"
        )


def _restart() -> UnprocessableOffer:
    return UnprocessableOffer("ICE is not restarted here: POST a new offer, the same name takes over")
