"""The origin in this process as a worker's `OriginClient`: the same rules as over HTTP, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.errors import NotFound, NotReady, OverLimit

if TYPE_CHECKING:
    from contracts.take import TakeEvent, TakeHeader, TakeKey
    from contracts.take_state import TakeState
    from origin.service import Origin


class LocalOrigin:
    """Hands everything to `origin`, which raises the errors that its HTTP handlers would answer."""

    name = "local"

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    @property
    def _open(self) -> Origin:
        """The origin. Raises OverLimit while it is being filled, as a client over HTTP does."""
        try:
            self._origin.refuse_while_filled()
        except NotReady as error:
            raise OverLimit(error.message) from None
        return self._origin

    async def put_take(self, key: TakeKey, header: TakeHeader) -> None:
        """Put `take.json`."""
        self._open.put_take(key, header)

    async def put_init(self, key: TakeKey, rendition: str, data: bytes) -> None:
        """Put the CMAF header of a rendition."""
        self._open.put_init(key, rendition, data)

    async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
        """Put one part: listeners who wait for it are released."""
        self._open.put_part(key, rendition, msn, part, data)

    async def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> None:
        """Put a whole past segment."""
        self._open.put_segment(key, rendition, msn, data)

    async def put_gap(self, key: TakeKey, rendition: str, msn: int) -> None:
        """Say that this segment will not come, or not to its end."""
        self._open.put_gap(key, rendition, msn)

    async def put_event(self, key: TakeKey, event: TakeEvent) -> None:
        """Put a chapter or who speaks."""
        self._open.put_event(key, event)

    async def end(self, key: TakeKey, samples: int) -> None:
        """End the take after `samples` samples."""
        self._open.end(key, samples)

    async def state(self, key: TakeKey) -> TakeState:
        """Ask what it has of a take."""
        return self._open.state(key)

    async def parts_of(self, key: TakeKey, rendition: str, msn: int) -> tuple[bytes, ...]:
        """The parts of a segment that it serves."""
        try:
            window = self._open.line(*key, rendition).window
        except NotFound:
            return ()
        return window.parts_held(msn)

    async def forget(self, key: TakeKey) -> None:
        """Let go of a take that its host has deleted."""
        self._open.forget(key)

    async def close(self) -> None:
        """Nothing to let go of: the origin is not this client's."""
