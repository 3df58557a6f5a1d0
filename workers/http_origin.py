"""An origin over HTTP. aiohttp's errors and the origin's statuses are translated here and nowhere else."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from contracts.errors import (
    BytesConflict,
    Forbidden,
    LongwaveError,
    MalformedMedia,
    MediaMissing,
    OriginUnavailable,
    OutOfOrder,
    OverLimit,
    TakeEnded,
    Unauthorized,
    UnknownTake,
)
from contracts.position import Position
from contracts.take_state import TakeState
from pipeline.boxes import split_parts

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from contracts.take import TakeEvent, TakeHeader, TakeKey

# Nothing here takes an origin long; one that hangs costs a retry, not the take.
TIMEOUT: Final = aiohttp.ClientTimeout(total=4.0, sock_connect=2.0)
# Enough for every room to have a part in flight at once, and bounded.
CONNECTIONS: Final = 64

# 409 is decided by the answer's body: see `_refusal`.
_REFUSALS: Final[dict[int, type[LongwaveError]]] = {
    400: MalformedMedia,
    401: Unauthorized,
    403: Forbidden,
    404: UnknownTake,
    410: TakeEnded,
    413: MalformedMedia,
    503: OverLimit,
}


class HttpOrigin:
    """The origin at `url`; see `workers.origin_client.OriginClient`.

    `token` gives what is sent as bearer; `tls` is a context that trusts an origin with a certificate of its
    own.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str] | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answered_at = -math.inf
        """When it answered last, whatever it said; by `clock`, which is monotonic."""
        self._base = URL(url)
        self._tls = tls
        self._timeout = timeout
        self._token = token
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        """Scheme, host and port: no user, no password, no path."""
        return str(self._base.origin())

    async def put_take(self, key: TakeKey, header: TakeHeader) -> None:
        """`PUT …/take.json`."""
        await self._put(key, "take.json", _json(header.to_json()), "application/json")

    async def put_init(self, key: TakeKey, rendition: str, data: bytes) -> None:
        """`PUT …/{rendition}/init.mp4`."""
        await self._put(key, f"{rendition}/init.mp4", data)

    async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
        """`PUT …/{rendition}/{msn}.{part}.m4s`."""
        await self._put(key, f"{rendition}/{msn}.{part}.m4s", data)

    async def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> None:
        """`PUT …/{rendition}/{msn}.m4s`."""
        await self._put(key, f"{rendition}/{msn}.m4s", data)

    async def put_gap(self, key: TakeKey, rendition: str, msn: int) -> None:
        """`PUT …/{rendition}/{msn}.gap`."""
        await self._put(key, f"{rendition}/{msn}.gap", b"")

    async def put_event(self, key: TakeKey, event: TakeEvent) -> None:
        """`PUT …/events/{sample}-{n}.json`."""
        await self._put(key, f"events/{event.id}.json", _json(event.to_json()), "application/json")

    async def end(self, key: TakeKey, samples: int) -> None:
        """`POST …/end`."""
        try:
            await self._request(
                "POST", self._url(key, "end"), _json({"samples": samples}), "application/json"
            )
        except OutOfOrder as error:  # the same answer: something before it is missing
            raise MediaMissing(error.message, error.expected) from None

    async def state(self, key: TakeKey) -> TakeState:
        """`GET /publish/{room}/{take}`."""
        answer = await self._request("GET", self._url(key, ""))
        try:
            return TakeState.from_json(json.loads(answer))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise OriginUnavailable(f"{self.name} answers nonsense where it should say what it has") from None

    async def parts_of(self, key: TakeKey, rendition: str, msn: int) -> tuple[bytes, ...]:
        """`GET …/{rendition}/{msn}.m4s`: all that is served of it, at once."""
        try:
            served = await self._request("GET", self._url(key, f"{rendition}/{msn}.m4s"))
        except UnknownTake:  # how a 404 is told here
            return ()
        try:
            return tuple(split_parts(served))
        except MalformedMedia:
            raise OriginUnavailable(f"{self.name} answers nonsense as segment {msn}") from None

    async def forget(self, key: TakeKey) -> None:
        """`DELETE /publish/{room}/{take}`."""
        await self._request("DELETE", self._url(key, ""))

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ------------------------------------------------------------ inside

    def _url(self, key: TakeKey, path: str) -> URL:
        # Ids need no escaping: they are checked where they come from.
        return self._base / f"publish/{key.room}/{key.take}/{path}".rstrip("/")

    async def _put(self, key: TakeKey, path: str, data: bytes, kind: str = "audio/mp4") -> None:
        await self._request("PUT", self._url(key, path), data, kind)

    async def _request(self, method: str, url: URL, data: bytes | None = None, kind: str = "") -> bytes:
        """The body of a 2xx answer. Raises what the answer says, or OriginUnavailable where there is none."""
        headers = {"Content-Type": kind} if kind else {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        try:
            async with self._open().request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as response:
                answer = await response.read()
                status = response.status
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            reason = str(error) or type(error).__name__
            raise OriginUnavailable(f"{self.name} does not answer: {reason}") from None
        self.answered_at = self._clock()
        if 200 <= status < 300:
            return answer
        raise _refusal(status, answer, self.name)

    def _open(self) -> aiohttp.ClientSession:
        # Made on first use, because a session belongs to the running event loop.
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._tls or True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session


def _refusal(status: int, answer: bytes, name: str) -> LongwaveError:
    """The error that an answer of the origin stands for."""
    body = _parsed(answer)
    message = str(body.get("error", f"{name} answers {status}"))
    if status == 409:
        expected = _position(body.get("expected"))
        return BytesConflict(message) if expected is None else OutOfOrder(message, expected)
    return _REFUSALS.get(status, OriginUnavailable)(message)


def _position(value: object) -> Position | None:
    match value:
        case {"msn": int(msn), "part": int(part)}:
            return Position(msn, part)
        case _:
            return None


def _parsed(answer: bytes) -> dict[str, Any]:
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
