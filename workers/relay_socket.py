"""Two WebSockets that are one: what comes out of either goes into the other, and so do their ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType, web

from contracts.error_status import http_status
from contracts.errors import LongwaveError, OwnerUnavailable
from workers.relay_watch import MOVED

# RFC 6455 7.4.2: codes from 4000 on are for applications; ours say the HTTP status.
_CLOSE_CODE_BASE: Final = 4000
# RFC 6455 5.5: what fits a close frame beside its code.
_MAX_REASON_BYTES: Final = 123

Socket = ClientWebSocketResponse | web.WebSocketResponse


@dataclass(frozen=True, slots=True)
class _Farewell:
    """How a socket was closed by who is at its other end."""

    code: int
    reason: str


async def close_for(socket: web.WebSocketResponse, error: LongwaveError, code: int | None = None) -> None:
    """Close a sender's socket and say why; the code says the error's status where none is given."""
    reason = error.message.encode()[:_MAX_REASON_BYTES]
    await socket.close(code=code or _CLOSE_CODE_BASE + http_status(error), message=reason)


async def converse(
    sender: web.WebSocketResponse, owner: ClientWebSocketResponse, over: asyncio.Future[LongwaveError]
) -> None:
    """Carry messages both ways until one side ends it, or it is `over`; then both are closed.

    Nothing is held: a message is read when the one before it has been taken.
    """
    up = asyncio.create_task(_carry(sender, owner))
    down = asyncio.create_task(_carry(owner, sender))
    ends: set[asyncio.Future[Any]] = {up, down, over}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        _, ended = await _stopped(up, down)
        if isinstance(ended, _Farewell):
            await sender.close(code=ended.code, message=ended.reason.encode()[:_MAX_REASON_BYTES])
        elif over.done():
            await close_for(sender, over.result())
        elif ended is None:
            await close_for(sender, OwnerUnavailable(MOVED))
    finally:
        # Also where the server has noticed first that the sender's connection is gone, and has ended this.
        left, _ = await _stopped(up, down)
        await owner.close(code=left.code if isinstance(left, _Farewell) else WSCloseCode.GOING_AWAY)


async def _stopped(*tasks: asyncio.Task[_Farewell | None]) -> list[_Farewell | BaseException | None]:
    """What each gave, if it was done."""
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(source: Socket, sink: Socket) -> _Farewell | None:
    """Every message of `source`, and its farewell; None where it, or the sink, was cut."""
    while True:
        message = await source.receive()
        try:
            match message.type:
                case WSMsgType.BINARY:
                    await sink.send_bytes(message.data)
                case WSMsgType.TEXT:
                    await sink.send_str(message.data)
                case WSMsgType.CLOSE:
                    # A close frame may be empty (RFC 6455 5.5.1): aiohttp's code for that cannot be sent.
                    return _Farewell(message.data or WSCloseCode.OK, message.extra or "")
                case _:
                    return None
        except ConnectionError:
            # The sink has ended meanwhile: the other direction knows how.
            await asyncio.get_running_loop().create_future()
