"""What became of a heard take in the storage of a bench: one replay, and in it all that was heard."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from contracts.position import Position
from contracts.take import TakeKey
from pipeline.grid import Grid
from pipeline.replay.fragment_index import index_fragment
from storage.commit import TakeCommit
from storage.objects import Objects
from storage.open import open_objects
from storage.s3_options import S3Options
from tests.cluster.bench import Bench, wait_for
from tests.cluster.ear import Heard
from workers.archive.reading import read_commit, read_fragment

_FINISHED_SECONDS = 60.0


@dataclass(frozen=True)
class KeptTake:
    """A finished take; `verified` is what `longwave replay verify` says of it."""

    commit: TakeCommit
    parts: dict[Position, bytes]
    verified: str

    @property
    def samples_lost(self) -> int:
        """What its record says is missing."""
        return sum(gap.span[1] - gap.span[0] for gap in self.commit.gaps)

    def lacks(self, heard: Heard) -> list[Position]:
        """Parts that were heard and are not archived, or archived with other bytes."""
        return [position for position, data in heard.parts.items() if self.parts.get(position) != data]


def kept_take(bench: Bench, room: str, heard: Heard, rendition: str = "64k") -> KeptTake:
    """Wait until the take is finished, and read all of it. Fails where verification does."""
    key = TakeKey(room, heard.take)
    with mock.patch.dict(os.environ, bench.env):
        endpoint = bench.env.get("LONGWAVE_S3_ENDPOINT")
        objects = open_objects(bench.storage, Path(), S3Options(endpoint=endpoint))
    try:
        wait_for(lambda: read_commit(objects, key) is not None, _FINISHED_SECONDS)
        commit = read_commit(objects, key)
        assert commit is not None
        parts = _parts(objects, key, commit, rendition)
    finally:
        objects.close()
    return KeptTake(commit, parts, _verify(bench, key))


def _parts(objects: Objects, key: TakeKey, commit: TakeCommit, rendition: str) -> dict[Position, bytes]:
    grid = Grid(commit.story.header.settings.parts)
    found: dict[Position, bytes] = {}
    for record in commit.fragments[rendition]:
        data = read_fragment(objects, key, rendition, record)
        index = index_fragment(data, grid, record.msn)
        found |= {part.position: data[part.start : part.stop] for part in index.parts}
    return found


def _verify(bench: Bench, key: TakeKey) -> str:
    def run() -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "longwave", "replay", "verify", f"{key.room}/{key.take}"]
        env = os.environ | bench.env
        return subprocess.run(argv, capture_output=True, text=True, env=env, check=False, timeout=60)

    # The record is there first, and from that is made what listeners read.
    wait_for(lambda: run().returncode == 0, _FINISHED_SECONDS)
    return run().stdout
