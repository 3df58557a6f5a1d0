"""What a worker asks of an origin, wherever it runs: the *For workers* table as async methods.

All clients behave the same. Doing anything twice is fine. They raise the `PublisherError` family
(`OutOfOrder`, `UnknownTake`, `BytesConflict`, `TakeEnded`, `MediaMissing`, `MalformedMedia`, `OverLimit`),
and `OriginUnavailable` where there is no answer; a client over HTTP may also be told `Unauthorized` or
`Forbidden`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contracts.take import TakeEvent, TakeHeader, TakeKey
    from contracts.take_state import TakeState


class OriginClient(Protocol):
    """One origin. Every call either took effect there, or raised; an error leaves open whether it did."""

    @property
    def name(self) -> str:
        """What logs and metrics call it."""

    async def put_take(self, key: TakeKey, header: TakeHeader) -> None:
        """Put `take.json`, which comes before everything else."""

    async def put_init(self, key: TakeKey, rendition: str, data: bytes) -> None:
        """Put the CMAF header of a rendition."""

    async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
        """Put one part: listeners who wait for it are released."""

    async def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> None:
        """Put a whole past segment: all its parts, one after another."""

    async def put_gap(self, key: TakeKey, rendition: str, msn: int) -> None:
        """Say that this segment will not come, or not to its end."""

    async def put_event(self, key: TakeKey, event: TakeEvent) -> None:
        """Put a chapter or who speaks."""

    async def end(self, key: TakeKey, samples: int) -> None:
        """End the take after `samples` samples. Raises `MediaMissing` while some of them are not there."""

    async def state(self, key: TakeKey) -> TakeState:
        """Ask what it has of a take."""

    async def parts_of(self, key: TakeKey, rendition: str, msn: int) -> tuple[bytes, ...]:
        """The parts of a segment that it serves, from the first one on: all, some or none. Never waits."""

    async def forget(self, key: TakeKey) -> None:
        """Have it let go of a take that its host has deleted, if it is there."""

    async def close(self) -> None:
        """Let go of connections. Nothing may be asked afterwards."""
