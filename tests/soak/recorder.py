"""A low-latency HLS client that keeps everything: playlists, hinted parts, whole segments, every status.

It judges as it goes along, as a strict player would: what was listed stays, sequence numbers only grow, a
segment is its parts, and a URL has one body for ever.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import aiohttp

from tests.soak.playlist import Listed, Position, parse

_OK, _NOT_FOUND = 200, 404
# How long a server that was killed may take to come back.
_AWAY_SECONDS = 90.0


class Complaint(NamedTuple):
    """What a server did wrong: served other bytes, took back what it had listed, or refused."""

    kind: Literal["bytes", "order", "refusal"]
    text: str


@dataclass
class Recording:
    """What one rendition's recorder got. `complaints` is empty when all is well."""

    rendition: str
    init: bytes = b""
    parts: dict[Position, bytes] = field(default_factory=dict)
    segments: dict[int, bytes] = field(default_factory=dict)
    gaps: set[int] = field(default_factory=set)
    digests: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    playlists: int = 0
    away: int = 0
    complaints: list[Complaint] = field(default_factory=list)

    def media(self) -> bytes:
        """Header and segments from the first to the last: one fragmented MP4."""
        return self.init + b"".join(self.segments[msn] for msn in sorted(self.segments))

    def complain(self, kind: Literal["bytes", "order", "refusal"], text: str) -> None:
        """Note what is wrong, and go on."""
        self.complaints.append(Complaint(kind, text))

    def keep(self, url: str, body: bytes) -> None:
        """Remember what `url` is, and complain if it was something else before."""
        digest = hashlib.sha256(body).hexdigest()
        if self.digests.setdefault(url, digest) != digest:
            self.complain("bytes", f"{url} has had two bodies")


class Recorder:
    """Records one rendition of a room's running take until it ends."""

    def __init__(self, session: aiohttp.ClientSession, base: str, room: str, rendition: str) -> None:
        self._session, self._base, self._room = session, base, room
        self.recording = Recording(rendition)
        self._directory = ""

    @property
    def take(self) -> str:
        """The take that is recorded; empty while there is none."""
        return self._directory.rpartition(f"/{self.recording.rendition}/")[0].rpartition("/")[2]

    async def run(self) -> Recording:
        """Until `EXT-X-ENDLIST`."""
        await self._find_take()
        self.recording.init = await self._media("init.mp4") or b""
        listed = await self._playlist("")
        await self._fetch_new(listed, None)
        while not listed.ended:
            msn, part = listed.edge
            directive = f"?_HLS_msn={msn}&_HLS_part={part}"
            hint = listed.hint
            # A player asks for the part that is hinted at together with the playlist that will list it.
            later, (status, body) = await asyncio.gather(self._playlist(directive), self._hinted(hint))
            self._compare(listed, later)
            if hint and status == _OK:
                self._take_part(hint, body)
            elif hint and not (later.ended and status == _NOT_FOUND):
                # Only the end of the take may keep back what was hinted at.
                self.recording.complain("refusal", f"hinted part {hint}: {status} {body[:200]!r}")
            await self._fetch_new(later, listed)
            listed = later
        return self.recording

    async def ask_again(self) -> int:
        """Ask again for all that was received, and complain about other bodies. How much was there."""
        found = 0
        for name in list(self.recording.digests):
            status, body = await self._get(name, counted=False)
            if status == _OK:
                found += 1
                self.recording.keep(name, body)
        return found

    async def _find_take(self) -> None:
        wanted = re.compile(rf"^(\S+/{self.recording.rendition})/index\.m3u8$", re.MULTILINE)
        for _ in range(600):
            status, body = await self._get(f"/live/{self._room}/index.m3u8", counted=False)
            found = wanted.search(body.decode())
            if status == _OK and found:
                self._directory = f"/live/{self._room}/{found[1]}/"
                # The multivariant playlist may be there a moment before the first whole segment is.
                if (await self._get("index.m3u8", counted=False))[0] == _OK:
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{self._room} did not become live: {status} {body[:200]!r}")

    async def _playlist(self, query: str) -> Listed:
        status, body = await self._get("index.m3u8" + query)
        if status != _OK:
            self.recording.complain("refusal", f"index.m3u8{query}: {status} {body[:200]!r}")
            # As players do: start over with what there is, after a moment.
            await asyncio.sleep(0.5)
            return await self._playlist("")
        self.recording.playlists += 1
        return parse(body.decode())

    def _compare(self, listed: Listed, later: Listed) -> None:
        """What a playlist may not do to the one before it."""
        if later.sequence < listed.sequence:
            self.recording.complain("order", f"media sequence {listed.sequence} → {later.sequence}")
        if later.edge < listed.edge:
            self.recording.complain("order", f"the edge went back: {listed.edge} → {later.edge}")
        if not later.ended and later.edge == listed.edge:
            self.recording.complain("order", f"released without progress at {listed.edge}")
        if listed.gaps - later.gaps - set(range(later.sequence)):
            self.recording.complain("order", "a gap was taken back")
        self.recording.gaps |= later.gaps

    async def _hinted(self, hint: Position | None) -> tuple[int, bytes]:
        if hint is None:
            return _NOT_FOUND, b""
        return await self._get("{}.{}.m4s".format(*hint), counted=False)

    def _take_part(self, position: Position, body: bytes) -> None:
        self.recording.keep("{}.{}.m4s".format(*position), body)
        self.recording.parts.setdefault(position, body)

    async def _fetch_new(self, listed: Listed, before: Listed | None) -> None:
        for position in listed.parts:
            if position not in self.recording.parts and (before is None or position >= before.edge):
                body = await self._media("{}.{}.m4s".format(*position))
                if body is not None:
                    self._take_part(position, body)
        for msn in listed.segments:
            if msn in self.recording.segments or msn in listed.gaps:
                continue
            body = await self._media(f"{msn}.m4s")
            if body is not None:
                self.recording.segments[msn] = body
                self._check_whole(msn, body)

    def _check_whole(self, msn: int, body: bytes) -> None:
        """A segment is the concatenation of its parts, where all of them were received."""
        parts = [data for position, data in sorted(self.recording.parts.items()) if position[0] == msn]
        complete = (msn, 0) in self.recording.parts and sum(map(len, parts)) >= len(body)
        if complete and b"".join(parts) != body:
            self.recording.complain("bytes", f"segment {msn} is not its parts")

    async def _media(self, name: str) -> bytes | None:
        status, body = await self._get(name)
        if status != _OK:
            self.recording.complain("refusal", f"{name}: {status}")
            return None
        self.recording.keep(name, body)
        return body

    async def _get(self, name: str, *, counted: bool = True) -> tuple[int, bytes]:
        """One request; while nobody answers it is repeated, and that is counted."""
        url = self._base + (name if name.startswith("/") else self._directory + name)
        deadline = asyncio.get_running_loop().time() + _AWAY_SECONDS
        while True:
            try:
                async with self._session.get(url) as response:
                    body = await response.read()
                    if counted:
                        self.recording.statuses[response.status] += 1
                    return response.status, body
            except aiohttp.ClientError:
                self.recording.away += 1
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)


async def record(base: str, room: str, renditions: list[str]) -> list[Recording]:
    """Record all `renditions` of a room at once, until its take ends."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        recorders = [Recorder(session, base, room, rendition) for rendition in renditions]
        return list(await asyncio.gather(*(recorder.run() for recorder in recorders)))
