"""A `longwave origin` with one take whose window is full, fed over the *For workers* contract."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.live import QUIET
from benchmarks.sound import loop
from contracts.ids import new_take_id
from contracts.position import Position
from contracts.take import Rendition, TakeHeader, TakeSettings
from pipeline.aac import SegmentEncoder, fed_frames
from pipeline.boxes import init_segment, sequence_number, write_part
from pipeline.grid import FRAME, Grid, first_frame
from tests.server import Server
from tests.soak.running import on_cores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOM: Final = "bench"
WINDOW_SEGMENTS: Final = 450
_RENDITION: Final = Rendition("64k")
_SETTINGS: Final = TakeSettings(renditions=(_RENDITION,))
_GRID: Final = Grid(_SETTINGS.parts)


class Refused(RuntimeError):
    """The origin did not take what it should take."""


class FilledTake:
    """A take at an origin. `next` is the position of the part that `put_next_part` puts."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.next = Position(WINDOW_SEGMENTS, 0)
        self._units = _access_units()
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        epoch_us = time.time_ns() // 1000 - WINDOW_SEGMENTS * 2_000_000
        self.take = new_take_id(epoch_us, os.urandom(4))
        header = TakeHeader(epoch_us, _SETTINGS, "benchmark").to_json()
        self._put("take.json", json.dumps(header).encode())
        self._put(f"{_RENDITION.name}/init.mp4", init_segment(_SETTINGS, _RENDITION))
        for msn in range(WINDOW_SEGMENTS):
            parts = (self._part(Position(msn, part)) for part in range(_SETTINGS.parts))
            self._put(f"{_RENDITION.name}/{msn}.m4s", b"".join(parts))
        # An origin that is filled answers listeners from the first part on.
        self.put_next_part()

    @property
    def path(self) -> str:
        """Where listeners find the rendition, without a slash at the end."""
        return f"/live/{ROOM}/{self.take}/{_RENDITION.name}"

    def put_next_part(self) -> float:
        """Make the playlist one part longer. The monotonic instant before the first byte of the request."""
        body = self._part(self.next)
        name = f"{_RENDITION.name}/{self.next.msn}.{self.next.part}.m4s"
        began = time.monotonic()
        self._put(name, body)
        self.next = _GRID.after(self.next)
        return began

    def close(self) -> None:
        """Close the connection to the origin."""
        self._connection.close()

    def _part(self, position: Position) -> bytes:
        frames = _GRID.part_frames(position)
        offset = frames.start - first_frame(position.msn)
        units = self._units[offset : offset + len(frames)]
        return write_part(units, frames.start, sequence_number(position, _SETTINGS.parts))

    def _put(self, name: str, body: bytes) -> None:
        self._connection.request("PUT", f"/publish/{ROOM}/{self.take}/{name}", body)
        response = self._connection.getresponse()
        said = response.read()
        if response.status != http.client.CREATED:
            raise Refused(f"PUT {name}: {response.status} {said!r}")


@contextlib.contextmanager
def filled_take(directory: Path, cores: set[int] | None = None) -> Iterator[FilledTake]:
    """An origin on `cores` with a take of 15 minutes."""
    server = Server(directory / "origin", command="origin", env=QUIET)
    with on_cores(cores):
        server.start()
    try:
        with contextlib.closing(FilledTake(server)) as take:
            yield take
    finally:
        server.stop()


def _access_units() -> list[bytes]:
    """The access units of one segment of speech: every segment of the take is made of them."""
    frames = len(fed_frames(0))
    planes = loop()[: frames * FRAME].astype(np.float32)[np.newaxis] / np.float32(32_768)
    return SegmentEncoder(0, _SETTINGS.channels, _RENDITION.bit_rate).push(planes)
