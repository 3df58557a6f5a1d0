"""HTTP glue that origin and workers share: errors as one JSON line, bounded bodies, CORS."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from aiohttp import ClientPayloadError, hdrs, web

from contracts.error_status import http_status
from contracts.errors import BadRequest, LongwaveError, SenderTimeout, TooLarge, UnsupportedEncoding
from contracts.listen import without_listen_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp.typedefs import Middleware

    from contracts.metrics import Metrics

log = structlog.get_logger()

KIND: Final = web.RequestKey("kind", str)
"""The row of the cache table that a request is answered from, for the metrics: set by who knows it first."""
CORS: Final = {"Access-Control-Allow-Origin": "*"}
# The longest that a body may pause while it is read.
BODY_PAUSE_SECONDS: Final = 30.0
_RETRY_AFTER: Final = frozenset({429, 503})
_WAITS: Final = web.RequestKey("waits for 100-continue", bool)


def json_line(
    body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`body` as one line of JSON, readable from any web origin."""
    line = json.dumps(body, ensure_ascii=False, separators=(", ", ": ")) + "\n"
    return web.Response(
        # Half a surrogate pair, as it comes from headers and JSON of others, becomes JSON's escape for it.
        body=line.encode(errors="backslashreplace"),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={**CORS, **(headers or {})},
    )


def cdn_fields(cache_control: str) -> dict[str, str]:
    """`CDN-Cache-Control` (RFC 9213) for what no shared cache may answer a moment longer than it was told.

    `must-revalidate` alone forbids stale answers (RFC 9111 4.2.4), which CDNs give while they ask again or
    when the origin is away. It has a field of its own because `Cache-Control` is fixed by contract. Empty for
    what is not kept at all.
    """
    lifetime = cache_control.removeprefix("public, ")
    return {} if lifetime == cache_control else {"CDN-Cache-Control": f"{lifetime}, must-revalidate"}


def json_error(
    status: int, message: str, cache_control: str, details: Mapping[str, object] | None = None
) -> web.Response:
    """An error as one line: what is wrong and what to do."""
    headers = {"Cache-Control": cache_control, **cdn_fields(cache_control)}
    if status in _RETRY_AFTER:
        headers["Retry-After"] = "1"
    if status == web.HTTPUnauthorized.status_code:
        headers["WWW-Authenticate"] = 'Bearer realm="longwave"'
    return json_line({"error": message, **(details or {})}, status, headers)


def error_middleware(cache_control: Callable[[int], str], metrics: Metrics) -> Middleware:
    """Turn every error into its JSON line, count every answer.

    `cache_control` gives the header of an error status: the cache policy belongs to whoever composes the app.
    """

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            response = await handler(request)
        except LongwaveError as error:
            status = http_status(error)
            response = json_error(status, error.message, cache_control(status), error.details())
            response.headers.update(error.headers())
        except web.HTTPException as error:
            response = _foreign(error, cache_control)
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except Exception:  # noqa: BLE001 - the last resort: a listener never sees a traceback
            response = _unexpected(request, cache_control, metrics)
        metrics.http_requests.labels(request.get(KIND, "other"), response.status).inc()
        return response

    return middleware


def _foreign(error: web.HTTPException, cache_control: Callable[[int], str]) -> web.StreamResponse:
    """Refusals of aiohttp's own: no such route, wrong method, body too large."""
    if error.status < web.HTTPBadRequest.status_code:
        return error
    response = json_error(error.status, error.reason.lower(), cache_control(error.status))
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        response = json_error(error.status, f"this resource takes {allowed}", cache_control(error.status))
        response.headers["Allow"] = allowed
    elif error.status == web.HTTPNotFound.status_code:
        response = json_error(error.status, "nothing lives at this address", cache_control(error.status))
    return response


def _unexpected(request: web.Request, cache_control: Callable[[int], str], metrics: Metrics) -> web.Response:
    """A bug of ours: the id in the answer finds the traceback in the log."""
    incident = uuid4().hex[:12]
    metrics.unexpected_errors.labels("http").inc()
    log.exception(  # noqa: LOG004 - called while it is handled
        "unexpected error", incident=incident, method=request.method, path=without_listen_token(request.path)
    )
    return json_error(500, f"an error of this server's own, logged as {incident}", cache_control(500))


def refuse_encoding(request: web.Request) -> None:
    """Bodies come as they are: a decompressed bomb has no length to check. Raises UnsupportedEncoding."""
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise UnsupportedEncoding(f"send the body without Content-Encoding, not as {encoding:.20}")


async def expect_later(request: web.Request) -> web.StreamResponse | None:
    """Leave `100-continue` to whoever reads the body, and so knows that it is wanted (RFC 9110 10.1.1).

    For routes with a body: aiohttp's own would ask for it before anybody looked at the token.
    """
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        status = web.HTTPExpectationFailed.status_code
        return json_error(status, "the only expectation that is met here is 100-continue", "no-store")
    request[_WAITS] = request.version >= (1, 1)
    return None


async def go_on(request: web.Request) -> None:
    """Ask a sender that waits to be asked for its body."""
    if request.get(_WAITS):
        request[_WAITS] = False
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The answer's own length starts behind it.
        request.writer.output_size = 0


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body of at most `limit` bytes.

    Raises TooLarge, UnsupportedEncoding, SenderTimeout (a pause of 30 s) or BadRequest (it stopped half way).
    """
    refuse_encoding(request)
    if request.content_length is not None and request.content_length > limit:
        raise TooLarge(f"at most {limit} bytes here")
    await go_on(request)
    chunks: list[bytes] = []
    size = 0
    try:
        while True:
            async with asyncio.timeout(BODY_PAUSE_SECONDS):
                chunk = await request.content.readany()
            if not chunk:
                return b"".join(chunks)
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"at most {limit} bytes here")
            chunks.append(chunk)
    except TimeoutError:
        raise SenderTimeout("the body stopped arriving") from None
    except (ClientPayloadError, ConnectionResetError):
        raise BadRequest("the body stopped half way") from None


async def read_json(request: web.Request, limit: int) -> object:
    """The body as JSON. Raises what `read_body` does, and BadRequest where it is no JSON."""
    body = await read_body(request, limit)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON in UTF-8") from None
