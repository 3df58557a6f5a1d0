"""Origins for tests of the publishing side: a real window in memory, and one whose line fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from contracts.errors import OriginUnavailable, UnknownTake
from contracts.position import Position
from contracts.take import TakeEvent, TakeHeader, TakeKey
from contracts.take_state import TakeState
from pipeline.grid import Grid
from pipeline.segmenter import EncodedPart
from pipeline.take_window import TakeWindow
from pipeline.window import Put
from tests import takes

KEY = TakeKey("room", "20260101T000000Z-abc234")


class MemoryOrigin:
    """An `OriginClient` in front of real windows. `released` lists the parts that were new, in order."""

    def __init__(self, name: str = "origin", window_segments: int = 450) -> None:
        self.name = name
        self.takes: dict[TakeKey, TakeWindow] = {}
        self.released: list[tuple[str, Position]] = []
        self.gaps: list[tuple[str, int]] = []
        self.requests: list[str] = []
        self.asked: list[tuple[str, int]] = []
        self.closed = False
        self._window_segments = window_segments

    async def put_take(self, key: TakeKey, header: TakeHeader) -> None:
        self.requests.append("take.json")
        self.takes.setdefault(key, TakeWindow(header, self._window_segments))

    async def put_init(self, key: TakeKey, rendition: str, data: bytes) -> None:
        self.requests.append(f"{rendition}/init.mp4")
        self._take(key).put_init(rendition, data)

    async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
        self.requests.append(f"{rendition}/{msn}.{part}.m4s")
        if self._take(key).put_part(rendition, msn, part, data) is Put.NEW:
            self.released.append((rendition, Position(msn, part)))

    async def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> None:
        self.requests.append(f"{rendition}/{msn}.m4s")
        take = self._take(key)
        before = take.renditions[rendition].next
        if take.put_segment(rendition, msn, data) is Put.NEW:
            start = before if before.msn == msn else Position(msn, 0)
            stop = take.renditions[rendition].next
            self.released += [(rendition, position) for position in takes.positions(take.grid, start, stop)]

    async def put_gap(self, key: TakeKey, rendition: str, msn: int) -> None:
        self.requests.append(f"{rendition}/{msn}.gap")
        if self._take(key).put_gap(rendition, msn) is Put.NEW:
            self.gaps.append((rendition, msn))

    async def put_event(self, key: TakeKey, event: TakeEvent) -> None:
        self.requests.append(f"events/{event.id}.json")
        self._take(key).put_event(event)

    async def end(self, key: TakeKey, samples: int) -> None:
        self.requests.append("end")
        self._take(key).end(samples)

    async def state(self, key: TakeKey) -> TakeState:
        return self._take(key).state()

    async def parts_of(self, key: TakeKey, rendition: str, msn: int) -> tuple[bytes, ...]:
        self.asked.append((rendition, msn))
        take = self.takes.get(key)
        if take is None:
            return ()
        window = take.renditions[rendition]
        parts: list[bytes] = []
        while (part := window.part_bytes(msn, len(parts))) is not None:
            parts.append(part)
        return window.segment_parts(msn) or tuple(parts)

    async def forget(self, key: TakeKey) -> None:
        self.takes.pop(key, None)

    async def close(self) -> None:
        self.closed = True

    def restart(self) -> None:
        """As after a restart without a journal."""
        self.takes.clear()
        self.released.clear()

    def reached(self, rendition: str = "64k") -> Position | None:
        """What it waits for, once it has media."""
        take = self.takes.get(KEY)
        return (
            None
            if take is None or take.renditions[rendition].first is None
            else take.renditions[rendition].next
        )

    def ended(self) -> int | None:
        take = self.takes.get(KEY)
        return None if take is None else take.end_samples

    def media(self, rendition: str = "64k") -> dict[int, bytes | None]:
        """The bytes of every listed segment: `None` for gaps."""
        window = self.takes[KEY].renditions[rendition]
        return {segment.msn: window.segment_bytes(segment.msn) for segment in window.segments}

    def _take(self, key: TakeKey) -> TakeWindow:
        try:
            return self.takes[key]
        except KeyError:
            raise UnknownTake("put take.json first") from None


class BadLine(MemoryOrigin):
    """A real window behind a line that delays, cuts and forgets at random, and can be down altogether."""

    def __init__(
        self, seed: int = 0, *, trouble: float = 0.0, delay: float = 0.0, restarts: float = 0.0
    ) -> None:
        super().__init__(f"bad line {seed}")
        self.down = False
        self.hangs = False
        self._random = random.Random(seed)
        self._trouble, self._delay, self._restarts = trouble, delay, restarts

    async def put_init(self, key: TakeKey, rendition: str, data: bytes) -> None:
        await self._before()
        await super().put_init(key, rendition, data)
        self._after()

    async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
        await self._before()
        await super().put_part(key, rendition, msn, part, data)
        self._after()

    async def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> None:
        await self._before()
        await super().put_segment(key, rendition, msn, data)
        self._after()

    async def put_gap(self, key: TakeKey, rendition: str, msn: int) -> None:
        await self._before()
        await super().put_gap(key, rendition, msn)
        self._after()

    async def end(self, key: TakeKey, samples: int) -> None:
        await self._before()
        await super().end(key, samples)
        self._after()

    async def state(self, key: TakeKey) -> TakeState:
        await self._before()
        return await super().state(key)

    async def parts_of(self, key: TakeKey, rendition: str, msn: int) -> tuple[bytes, ...]:
        await self._before()
        return await super().parts_of(key, rendition, msn)

    async def _before(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise OriginUnavailable("refused")
        if self._delay:
            await asyncio.sleep(self._random.uniform(0, self._delay))
        if self._random.random() < self._restarts:
            self.restart()
        if self._random.random() < self._trouble:
            raise OriginUnavailable("cut on the way there")

    def _after(self) -> None:
        if self._random.random() < self._trouble:
            raise OriginUnavailable("cut on the way back")


def encoded(
    start: tuple[int, int], stop: tuple[int, int], renditions: Iterable[str] = ("64k",), parts: int = 5
) -> list[EncodedPart]:
    """Parts on the grid, in the order in which a segmenter makes them."""
    grid = Grid(parts)
    return [
        EncodedPart(
            name,
            *position,
            takes.part(grid, *position, name.encode() + bytes(position)),
        )
        for position in takes.positions(grid, Position(*start), Position(*stop))
        for name in renditions
    ]
