"""From the bus into the storage: what was said is archived as it was encoded, also by one that is killed."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import Rendition, TakeHeader, TakeKey, TakeSettings
from pipeline.grid import Grid
from pipeline.pcm import Pcm
from pipeline.replay.peaks import NO_PEAKS, measure
from pipeline.segmenter import EncodedPart, Segmenter
from storage.disk_objects import DiskObjects
from storage.names import fragment_name
from tests.archiving import Node, Storage
from tests.publishing import KEY, MemoryOrigin
from tests.takes import EPOCH_US
from tests.waiting import until
from workers.archive.fragment_file import scan
from workers.memory_bus import MemoryHub
from workers.parts_log import TakeLog
from workers.publisher import Publisher
from workers.transcoder_pool import TranscoderPool

GRID = Grid(5)
SEGMENT = 96_000
HEADER = TakeHeader(EPOCH_US, TakeSettings(renditions=(Rendition("32k"), Rendition("64k"))), "f")
Parts = dict[tuple[str, int, int], bytes]


def noise(samples: int) -> Pcm:
    return np.random.default_rng(1).integers(-9000, 9000, (samples, 1)).astype("<i2")


def segmented(pcm: Pcm) -> Parts:
    segmenter = Segmenter(HEADER.settings, 0)
    before = np.zeros((-segmenter.needs, 1), dtype=np.int16)
    parts = [*segmenter.push(np.concatenate((before, pcm))), *segmenter.finish()]
    return {(part.rendition, part.msn, part.part): part.data for part in parts}


def archived(storage: DiskObjects, key: TakeKey, fragments: Iterable[int]) -> Parts:
    """Every part in the storage."""
    found: Parts = {}
    for rendition in HEADER.settings.renditions:
        for first in fragments:
            name = fragment_name(key, rendition.name, first)
            if storage.head(name) is not None:
                data = storage.read(name).data
                places = scan(data, GRID, first)
                assert places.size == len(data)
                found |= {
                    (rendition.name, *position): data[place.start : place.stop]
                    for position, place in places.places.items()
                }
    return found


async def live(node: Node, origin: MemoryOrigin, pcm: Pcm, *, end: bool) -> None:
    """A process that encodes, archives and publishes `pcm`, as fast as it can."""
    metrics = Metrics(CollectorRegistry())
    hub, publisher = MemoryHub(sound_held=len(pcm)), Publisher([origin], metrics)
    pool = TranscoderPool(hub, publisher, metrics, threads=2, archiver=node.archiver)
    bus = hub.open(KEY, HEADER)
    node.archiver.start(lambda: [KEY])
    pool.start()
    for start in range(0, len(pcm), 9_600):
        bus.append(start, pcm[start : start + 9_600].tobytes())
        await asyncio.sleep(0)
    if end:
        bus.end(len(pcm))
        await until(lambda: bool(node.finished))
        await pool.stop()
        await publisher.stop(grace=0)
        await node.archiver.stop(grace=0)
    else:
        await asyncio.Event().wait()


async def test_nobody_gets_a_part_before_it_is_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path, Storage(tmp_path / "storage"))
    early: list[EncodedPart] = []
    append = TakeLog.append

    def checking(log: TakeLog, parts: list[EncodedPart]) -> None:
        spooled = node.archiver.open(log)._take.spooled
        there = {rendition: spooled.positions(rendition, 0) for rendition in ("32k", "64k")}
        early.extend(part for part in parts if (part.msn, part.part) not in there[part.rendition])
        append(log, parts)

    monkeypatch.setattr(TakeLog, "append", checking)
    await live(node, MemoryOrigin(), noise(SEGMENT + 30_000), end=True)
    assert early == []


async def test_the_archive_holds_what_the_segmenter_makes_and_the_waveform_of_what_was_said(
    tmp_path: Path,
) -> None:
    pcm = noise(16 * SEGMENT + 12_345)
    storage = Storage(tmp_path / "storage")
    node, origin = Node(tmp_path, storage), MemoryOrigin()
    await live(node, origin, pcm, end=True)
    assert archived(storage, KEY, (0, 15)) == segmented(pcm)
    ((_, notes),) = node.finished
    assert notes.lost == ()
    assert notes.peaks is not None
    assert notes.peaks.absent(len(pcm)) == []
    wanted = NO_PEAKS.filled(measure(0, [pcm]))
    count = len(pcm) // 4800 + 1
    assert notes.peaks.records[:count].tolist() == wanted.records[:count].tolist()
    assert node.value("spool_refusals_total", reason="the disk did not answer") == 0


class Telling(MemoryOrigin):
    """Tells on stdout what it has acknowledged."""

    def tell(self) -> None:
        while self.released:
            rendition, (msn, part) = self.released.pop(0)
            window = self.takes[KEY].renditions[rendition]
            data = window.part_bytes(msn, part) or (window.segment_parts(msn) or ())[part]
            sys.stdout.write(f"ack {rendition} {msn} {part} {hashlib.sha256(data).hexdigest()}\n")
        sys.stdout.flush()

    async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
        await super().put_part(key, rendition, msn, part, data)
        self.tell()

    async def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> None:
        await super().put_segment(key, rendition, msn, data)
        self.tell()


_CHILD = """
import asyncio, sys
from pathlib import Path
from tests.archiving import Node, Storage
from tests.integration.test_archive_live import Telling, live, noise
root = Path(sys.argv[1])
node = Node(root, Storage(root / "storage"), patience=30.0)
asyncio.run(live(node, Telling(), noise(40 * 96_000), end=False))
"""


def until_killed(root: Path, after: int) -> list[str]:
    """What a process says that is killed after so many lines, somewhere in its work."""
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(root)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(after)]
        child.kill()
        return lines + child.stdout.readlines()


@pytest.mark.faults
@pytest.mark.parametrize("after", [3, 60, 160])
async def test_whatever_an_origin_acknowledged_is_archived_after_kill_minus_nine(
    tmp_path: Path, after: int
) -> None:
    lines = await asyncio.to_thread(until_killed, tmp_path, after)
    acks = [line.split()[1:] for line in lines if line.startswith("ack ") and line.endswith("\n")]
    assert len(acks) >= after / 2
    storage = Storage(tmp_path / "storage")
    node = Node(tmp_path, storage)
    node.archiver.start()
    await until(lambda: bool(node.finished))
    await node.archiver.stop(grace=0)
    found = archived(storage, KEY, (0, 15, 30))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
    assert {(r, int(msn), int(part)): digest for r, msn, part, digest in acks}.items() <= digests.items()
    lost = [span for span, _ in node.finished[0][1].lost]
    for rendition, msn, part in found:
        position = Position(msn, part)
        if ("32k", *position) in found and ("64k", *position) in found:
            start = GRID.start_sample(position)
            assert not any(begin <= start < end for begin, end in lost), rendition
