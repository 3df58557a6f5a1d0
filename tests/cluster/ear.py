"""A listener who counts: takes every part as it is released, from any of several origins, to be decoded.

It stands for a player behind an edge: an origin that does not answer, or answers 5xx, is replaced by its
sister, and what it heard is compared with what was said, to the sample.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Self

import aiohttp

from contracts.position import Position
from pipeline.boxes import split_parts
from pipeline.grid import SAMPLE_RATE, Grid
from tests.soak.playlist import Listed, parse

# The hold-back of 5 parts a segment: where a low-latency player stands behind the newest part.
HOLD_BACK = 1.216
_TIMEOUT = aiohttp.ClientTimeout(total=8.0, sock_connect=1.0)
_STALL_SECONDS = 0.02


@dataclass
class Heard:
    """What an ear got: bytes and arrival (seconds, monotonic) of each part, gaps, and what went wrong.

    `joined` is the newest part that was listed when it came.
    """

    take: str = ""
    init: bytes = b""
    parts: dict[Position, bytes] = field(default_factory=dict)
    arrivals: dict[Position, float] = field(default_factory=dict)
    gaps: set[int] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    away: int = 0
    discontinuities: int = 0
    joined: Position | None = None
    ended: bool = False

    @property
    def newest(self) -> Position:
        """The newest part that was heard."""
        return max(self.parts, default=Position(-1, 0))

    def stalls(self, parts: int = 5) -> list[float]:
        """How long a player would have stood still, each time: it starts `HOLD_BACK` behind the newest part.

        Gaps are skipped at once, as players do.
        """
        if self.joined is None:
            return []
        grid, found = Grid(parts), []
        behind = self.arrivals[self.joined] - grid.stop_sample(self.joined) / SAMPLE_RATE + HOLD_BACK
        for position in sorted(each for each in self.parts if each > self.joined):
            start = grid.start_sample(position) / SAMPLE_RATE
            late = self.arrivals[position] - start - behind
            if late > _STALL_SECONDS:
                found.append(late)
            # A player that has waited is further behind from then on.
            behind += max(0.0, late)
        return found

    def missing(self, parts: int = 5) -> list[Position]:
        """Parts between the first and the last that never came."""
        grid, there = Grid(parts), sorted(self.parts)
        holes = []
        for position, following in pairwise(there):
            at = grid.after(position)
            while at < following:
                holes.append(at)
                at = grid.after(at)
        return holes

    def media(self) -> bytes:
        """Header and all parts in order: one fragmented MP4, if nothing is missing."""
        return self.init + b"".join(self.parts[position] for position in sorted(self.parts))

    def write(self, path: Path) -> Path:
        """`media` as a file."""
        path.write_bytes(self.media())
        return path


class Ear:
    """Listens to the live take of `room` through `bases`: `async with Ear(…) as ear:`."""

    def __init__(self, bases: Sequence[str], room: str, rendition: str = "64k") -> None:
        self.heard = Heard()
        self._bases = list(bases)
        self._room = room
        self._rendition = rendition
        self._at = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._session.close()

    async def hears(self, parts: int, seconds: float = 60.0) -> None:
        """Return when so many parts more were heard."""
        wanted = len(self.heard.parts) + parts
        async with asyncio.timeout(seconds):
            while len(self.heard.parts) < wanted:
                self._check()
                await asyncio.sleep(0.02)

    async def to_the_end(self, seconds: float = 60.0) -> Heard:
        """Return what was heard, when the take has ended."""
        await asyncio.wait_for(asyncio.shield(self._task), seconds)
        return self.heard

    def _check(self) -> None:
        if self._task.done():
            raise AssertionError("the take has ended") from self._task.exception()

    async def _run(self) -> None:
        directory = await self._find()
        self.heard.init = await self._media(directory + "init.mp4") or b""
        listed = await self._playlist(directory, "")
        await self._fetch(directory, listed)
        self.heard.joined = max(self.heard.parts, default=None)
        while not listed.ended:
            msn, part = listed.edge
            listed = await self._playlist(directory, f"?_HLS_msn={msn}&_HLS_part={part}")
            await self._fetch(directory, listed)
        self.heard.ended = True

    async def _find(self) -> str:
        wanted = re.compile(rf"^((\S+)/{self._rendition})/index\.m3u8$", re.MULTILINE)
        while True:
            status, body = await self._get(f"/live/{self._room}/index.m3u8", counted=False)
            found = wanted.search(body.decode())
            if status == 200 and found:
                self.heard.take = found[2]
                directory = f"/live/{self._room}/{found[1]}/"
                if (await self._get(directory + "index.m3u8", counted=False))[0] == 200:
                    return directory
            await asyncio.sleep(0.05)

    async def _playlist(self, directory: str, query: str) -> Listed:
        while True:
            status, body = await self._get(directory + "index.m3u8" + query)
            if status == 200:
                text = body.decode()
                self.heard.discontinuities = max(
                    self.heard.discontinuities, text.count("#EXT-X-DISCONTINUITY\n")
                )
                return parse(text)
            query = ""  # as players do: start over with what there is
            await asyncio.sleep(0.1)

    async def _fetch(self, directory: str, listed: Listed) -> None:
        """Every part that is listed and was not heard yet; where a segment's parts are over, the segment."""
        heard = self.heard
        heard.gaps |= listed.gaps
        newest = heard.newest
        in_parts = {msn for msn, _ in listed.parts}
        for msn in listed.segments:
            if heard.parts and msn >= newest.msn and msn not in in_parts | listed.gaps:
                body = await self._media(f"{directory}{msn}.m4s")
                for part, data in enumerate(split_parts(body or b"")):
                    if Position(msn, part) > newest:
                        self._keep(Position(msn, part), data)
        for position in (Position(*each) for each in listed.parts):
            if position not in heard.parts and position.msn not in listed.gaps:
                body = await self._media(f"{directory}{position.msn}.{position.part}.m4s")
                if body is not None:
                    self._keep(position, body)

    def _keep(self, position: Position, body: bytes) -> None:
        self.heard.parts[position] = body
        self.heard.arrivals[position] = asyncio.get_running_loop().time()

    async def _media(self, path: str) -> bytes | None:
        status, body = await self._get(path)
        return body if status == 200 else None

    async def _get(self, path: str, *, counted: bool = True) -> tuple[int, bytes]:
        """One request, to whichever origin answers: a connection that fails is tried at the next one."""
        while True:
            base = self._bases[self._at % len(self._bases)]
            try:
                async with self._session.get(base + path) as response:
                    body = await response.read()
            except (aiohttp.ClientError, TimeoutError):
                self.heard.away += 1
                self._at += 1
                await asyncio.sleep(0.05)
                continue
            if counted:
                self.heard.statuses[response.status] += 1
            if response.status != 200 and counted:
                self.heard.refusals.append(f"{response.status} {base}{path}: {body[:120]!r}")
            if response.status >= 500:
                self._at += 1
            return response.status, body
