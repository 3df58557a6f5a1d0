"""Media of a replay, sent as fast as it is taken, and never a byte that was not checked.

Before anything is sent, what fails is an error like any other. After that the connection is cut: a length was
promised, so nobody takes for the whole what has come of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from aiohttp import web

from contracts.errors import DependencyError, LongwaveError, NotReady, ObjectDamaged
from contracts.metrics import Metrics
from origin.ranges import ByteRange
from origin.replay import Replay
from origin.replay_answer import Media, Plan, plan_answer
from origin.replay_reader import Piece, Stored
from origin.replays import Replays

log = structlog.get_logger()

STALL_SECONDS: Final = 60.0
"""Who takes nothing for so long is cut off, as nginx does it. A player that was paused asks again."""
# A slow listener holds its piece and a slice or two of it in the socket's buffer.
_SLICE: Final = 64 * 1024
# Slices that are written in one turn of the event loop: sockets take megabytes at once, and with hundreds of
# listeners everything else in the process, live audio too, would wait for seconds.
_SLICES_A_TURN: Final = 8
# Versions that are tried in one request: a host who edits faster than that has to stop first.
_VERSIONS: Final = 3


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Begun:
    """An answer whose first bytes are ready: what is sent of which version, and the pieces that follow."""

    replay: Replay
    plan: Plan
    first: tuple[Piece, bytes] | None
    pieces: Iterator[Piece]


class Sender:
    """Answers requests for a replay's media.

    Failures are counted by reason: damaged, replaced, storage, stalled.
    """

    def __init__(self, replays: Replays, metrics: Metrics, *, stall_seconds: float = STALL_SECONDS) -> None:
        self._replays = replays
        self._failures = metrics.replay_failures
        self._stall_seconds = stall_seconds
        self._turns = asyncio.Semaphore(_SLICES_A_TURN)

    async def send(
        self, request: web.Request, replay: Replay, describe: Callable[[Replay], Media]
    ) -> web.StreamResponse:
        """One version of what `describe` finds in the replay, from the first byte to the last.

        Raises PreconditionFailed, RangeNotSatisfiable, ObjectDamaged, StorageUnavailable, NotReady, and
        what `describe` does, which is asked again for a version that came meanwhile.
        """

        async def begin(replay: Replay) -> _Begun:
            media = describe(replay)
            plan = plan_answer(request, media)
            pieces = media.stored.pieces(plan.body.start, plan.body.stop)
            piece = next(pieces, None)
            first = None if piece is None else (piece, await self._replays.reader.piece(piece))
            return _Begun(replay, plan, first, pieces)

        begun = await self._latest(replay, begin)
        response = web.StreamResponse(status=begun.plan.status, headers=begun.plan.fields)
        try:
            await response.prepare(request)
            await self._body(response, begun)
        except (LongwaveError, TimeoutError) as error:
            try:
                # Before the cut: with its connection, a request ends.
                await self._count_cut(begun.replay, error)
            finally:
                _cut(request)
        except ConnectionResetError:
            pass  # the listener has left
        return response

    async def whole(self, replay: Replay, find: Callable[[Replay], Stored]) -> tuple[Replay, Stored, bytes]:
        """All bytes of something small, and the version that has them. Raises as `send` does."""

        async def read(replay: Replay) -> tuple[Replay, Stored, bytes]:
            stored = find(replay)
            return replay, stored, await self._replays.reader.whole(stored)

        return await self._latest(replay, read)

    async def _latest(self, replay: Replay, attempt: Callable[[Replay], Awaitable[T]]) -> T:
        """What `attempt` gives for this version or, where that has gone, for the one that came after."""
        for _ in range(_VERSIONS):
            try:
                return await attempt(replay)
            except ObjectDamaged as error:
                replay = await self._newer(replay, error)
        raise NotReady("this replay is being changed: try again in a moment")

    async def _body(self, response: web.StreamResponse, begun: _Begun) -> None:
        """Raises what the reader does, TimeoutError when nothing is taken, and ConnectionResetError."""
        if begun.first is None:
            return
        await self._write(response, begun.plan.body, *begun.first)
        for piece in begun.pieces:
            # Not before the one before is taken: for a slow listener nothing is read that would have to wait.
            await self._write(response, begun.plan.body, piece, await self._replays.reader.piece(piece))

    async def _write(self, response: web.StreamResponse, body: ByteRange, piece: Piece, data: bytes) -> None:
        """The bytes of a piece that are asked for."""
        wanted = memoryview(data)[max(0, body.start - piece.start) : body.stop - piece.start]
        for start in range(0, len(wanted), _SLICE):
            async with self._turns:
                await asyncio.sleep(0)
            async with asyncio.timeout(self._stall_seconds):
                await response.write(wanted[start : start + _SLICE])

    async def _newer(self, replay: Replay, error: ObjectDamaged) -> Replay:
        try:
            return await self._replays.newer(replay, error)
        except ObjectDamaged as damage:
            self._failures.labels("damaged").inc()
            log.error("a stored object is damaged", reason=damage.message)  # noqa: TRY400 - said in one line
            raise

    async def _count_cut(self, replay: Replay, error: LongwaveError | TimeoutError) -> None:
        """Say why an answer ended in the middle."""
        if isinstance(error, ObjectDamaged):
            try:
                await self._newer(replay, error)
            except ObjectDamaged:
                return  # it is counted
            except LongwaveError:
                pass  # deleted, or about to be another version
            self._failures.labels("replaced").inc()
        else:
            self._failures.labels("storage" if isinstance(error, DependencyError) else "stalled").inc()


def _cut(request: web.Request) -> None:
    """End the connection at once, whatever was still to be written."""
    if request.transport is not None:
        request.transport.abort()
