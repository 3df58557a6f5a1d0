"""The window on disk: what is served after a restart is what was served before it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from origin.journal import Journal
from origin.journal_format import GROUP, Record, RecordKind, pack, scan
from origin.journal_store import JournalStore
from origin.reload import reload
from origin.service import OriginLimits
from pipeline.grid import Grid, utc_us
from tests.origins import KEY, Answer, RunningOrigin, running, settings
from tests.playlists import end, samples_to, segments, tag
from tests.takes import EPOCH_US

LIMITS = OriginLimits(window_seconds=60)


@asynccontextmanager
async def journaled(directory: Path, *, now: float = 0.0, **more: object) -> AsyncIterator[RunningOrigin]:
    """An origin with its window in `directory`, `now` seconds after the take's epoch."""
    store = JournalStore(directory)
    journal = Journal(store, Metrics(CollectorRegistry()))
    options = {"limits": LIMITS, "clock": lambda: now, **more}
    async with running(journal=journal, **options) as room:  # type: ignore[arg-type]
        reload(room.origin, store, journal, EPOCH_US + int(now * 1e6))
        journal.start()
        yield room
        journal.close()


async def everything(room: RunningOrigin) -> dict[str, Answer]:
    """All that listeners can get of the take, with what tells one body from another."""
    answers = {}
    for rendition in room.settings.renditions:
        line = room.line(rendition.name)
        for name in ("index.m3u8", "index.m3u8?_HLS_skip=YES", "init.mp4"):
            answers[f"{line}/{name}"] = await room.get(f"{line}/{name}")
        listed = segments(answers[f"{line}/index.m3u8"])
        for name in listed:
            answers[f"{line}/{name}"] = await room.get(f"{line}/{name}")
    answers["/live/room/index.m3u8"] = await room.get("/live/room/index.m3u8")
    return answers


def shown(answers: dict[str, Answer]) -> dict[str, tuple[int, str | None, bytes]]:
    return {
        path: (answer.status, answer.headers.get("ETag"), answer.body) for path, answer in answers.items()
    }


def media_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*/*/media-*.lwj"))


def written(directory: Path) -> list[tuple[int, int]]:
    """The parts on disk."""
    records = (record for file in media_files(directory) for record in scan(file.read_bytes()).records)
    return [(record.number, record.part) for record in records]


async def test_a_reloaded_window_answers_as_before(tmp_path: Path) -> None:
    take = settings("64k", "32k")
    async with journaled(tmp_path, take=take) as room:
        await room.begin()
        await room.feed((8, 3))
        await room.put("events/96000-0.json", json.dumps({"kind": "chapter", "title": "Ünd"}).encode())
        before = shown(await everything(room))
    assert len(before) == 2 * (8 + 3) + 1
    async with journaled(tmp_path, take=take, now=20) as room:
        assert shown(await everything(room)) == before
        assert (await room.get("/readyz")).status == 200
        # And goes on in the middle of the segment.
        room.put_so_far = room.put_so_far._replace(msn=8, part=3)
        await room.feed((9, 2))
        assert segments(await room.playlist())[-1] == "8.m4s"


async def test_only_the_window_comes_back(tmp_path: Path) -> None:
    async with journaled(tmp_path, limits=OriginLimits(window_seconds=6)) as room:
        await room.begin()
        await room.feed((9, 2))
        before = await room.playlist()
    async with journaled(tmp_path, limits=OriginLimits(window_seconds=6)) as room:
        assert (await room.playlist()).body == before.body


async def test_gaps_and_whole_segments_come_back(tmp_path: Path) -> None:
    async with journaled(tmp_path) as room:
        await room.begin()
        await room.put("64k/0.m4s", room.segment(0))
        await room.put("64k/1.gap", b"")
        await room.put("64k/2.0.m4s", room.part(2, 0))
        before = shown(await everything(room))
    async with journaled(tmp_path) as room:
        assert shown(await everything(room)) == before


async def test_an_ended_take_leaves_in_time_though_it_was_reloaded(tmp_path: Path) -> None:
    samples = samples_to((5, 0))
    async with journaled(tmp_path) as room:
        await room.begin()
        await room.feed((5, 0))
        await end(room, samples)
    over = (utc_us(EPOCH_US, samples) - EPOCH_US) / 1e6
    async with journaled(tmp_path, now=over + 40) as room:
        assert (await room.playlist()).lines[-1] == "#EXT-X-ENDLIST"
        room.origin.sweep(over + 40 + 19)
        assert (await room.playlist()).status == 200
        room.origin.sweep(over + 40 + 21)
        assert (await room.playlist()).status == 404
    assert not (tmp_path / KEY.room).exists()


async def test_a_take_whose_time_passed_while_nobody_ran_does_not_come_back(tmp_path: Path) -> None:
    async with journaled(tmp_path) as room:
        await room.begin()
        await room.feed((5, 0))
    async with journaled(tmp_path, now=500) as room:
        assert (await room.playlist()).status == 404
    assert not (tmp_path / KEY.room).exists()


async def test_a_torn_tail_costs_what_it_holds(tmp_path: Path) -> None:
    async with journaled(tmp_path) as room:
        await room.begin()
        await room.feed((5, 2))
    (file,) = media_files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    async with journaled(tmp_path) as room:
        assert tag(await room.playlist(), "EXT-X-PRELOAD-HINT").endswith('URI="5.1.m4s"')
        # What comes now is written behind the last good record.
        await room.put("64k/5.1.m4s", room.part(5, 1))
    assert file.read_bytes() == whole


async def test_a_hole_becomes_a_gap_and_what_follows_stays(tmp_path: Path) -> None:
    async with journaled(tmp_path) as room:
        await room.begin()
        await room.feed((8, 2))
    (file,) = media_files(tmp_path)
    records = scan(file.read_bytes()).records
    lost = {(2, 3), (4, 0), *((5, part) for part in range(5)), (8, 0)}
    file.write_bytes(pack(one for one in records if (one.number, one.part) not in lost))
    async with journaled(tmp_path) as room:
        playlist = await room.playlist()
        gaps = [playlist.lines[at + 2] for at, line in enumerate(playlist.lines) if line == "#EXT-X-GAP"]
        assert gaps == ["2.m4s", "4.m4s", "5.m4s", "8.m4s"]
        assert segments(playlist) == [f"{msn}.m4s" for msn in range(9)]
        assert (await room.get("2.m4s")).status == 404
        for msn in (1, 3, 6, 7):
            assert (await room.get(f"{msn}.m4s")).body == room.segment(msn)


async def test_damage_is_skipped(tmp_path: Path) -> None:
    async with journaled(tmp_path) as room:
        await room.begin()
        await room.feed((4, 0))
    (file,) = media_files(tmp_path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    async with journaled(tmp_path) as room:
        assert (await room.playlist()).text.count("#EXT-X-GAP") == 1


async def test_a_take_without_a_header_is_left_alone(tmp_path: Path) -> None:
    async with journaled(tmp_path) as room:
        await room.begin()
        await room.feed((4, 0))
    (tmp_path / KEY.room / KEY.take / "take.lwj").write_bytes(b"?")
    (tmp_path / "no room!" / "x").mkdir(parents=True)
    async with journaled(tmp_path) as room:
        assert (await room.playlist()).status == 404
        assert (await room.get("/readyz")).status == 200


async def test_an_end_comes_back_though_the_last_media_was_lost(tmp_path: Path) -> None:
    async with journaled(tmp_path) as room:
        await room.begin()
        await room.feed((4, 2))
        await end(room, samples_to((4, 2)))
    (file,) = media_files(tmp_path)
    records = scan(file.read_bytes()).records
    file.write_bytes(pack(one for one in records if one.number < 4))
    async with journaled(tmp_path) as room:
        playlist = await room.playlist()
        assert playlist.lines[-3:] == ["#EXTINF:2.00533,", "4.m4s", "#EXT-X-ENDLIST"]
        assert playlist.text.count("#EXT-X-GAP") == 1


async def test_of_many_events_those_come_back_that_still_matter(tmp_path: Path) -> None:
    store = JournalStore(tmp_path)
    async with journaled(tmp_path) as room:
        await room.begin()
    long_ago = [_event(sample, "chapter", f"c{sample}") for sample in range(0, 3_300 * 48_000, 48_000)]
    take = settings()
    first = GROUP * 50
    async with running(take, first=first) as donor:
        media = [Record(RecordKind.PART, donor.part(first, part), 0, first, part) for part in range(5)]
    control = store.path_of(KEY, long_ago[0])
    store.append(control, long_ago)
    store.append(store.path_of(KEY, media[0]), media)
    async with journaled(tmp_path, now=2 * first) as room:
        ranges = [line for line in (await room.playlist()).lines if line.startswith("#EXT-X-DATERANGE")]
        # The one that runs when the window begins, and those that began in its two seconds.
        begins = samples_to((first, 0)) // 48_000
        assert [line.split('X-TITLE="')[1] for line in ranges] == [
            f'c{(begins + later) * 48_000}"' for later in range(3)
        ]


def _event(sample: int, kind: str, title: str) -> Record:
    body = {"id": f"{sample}-0", "event": {"kind": kind, "title": title}}
    return Record(RecordKind.EVENT, json.dumps(body).encode(), number=sample)


WRITER = """
import sys, time
from pathlib import Path
from prometheus_client import CollectorRegistry
from contracts.metrics import Metrics
from origin.journal import Journal
from origin.journal_store import JournalStore
from origin.service import Origin, OriginLimits
from pipeline.boxes import init_segment
from tests import takes
from tests.origins import KEY
from contracts.position import Position
from pipeline.grid import Grid

metrics = Metrics(CollectorRegistry())
journal = Journal(JournalStore(Path(sys.argv[1])), metrics)
journal.start()
origin = Origin(OriginLimits(), metrics, journal=journal)
header = takes.header()
origin.put_take(KEY, header)
origin.put_init(KEY, "64k", init_segment(header.settings, header.settings.renditions[0]))
for msn, part in takes.positions(Grid(5), Position(0, 0), Position(10**6, 0)):
    origin.put_part(KEY, "64k", msn, part, takes.part(Grid(5), msn, part))
    print(msn, part, flush=True)
    time.sleep(0.002)
"""


@pytest.mark.faults
async def test_after_kill_9_what_was_written_is_what_was_put_first(tmp_path: Path) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220 - killed below
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    put: list[tuple[int, ...]] = []
    with process, process.stdout as lines:
        for line in lines:
            put.append(tuple(map(int, line.split())))
            if len(put) % 50 == 0 and len(written(tmp_path)) > 300:
                break
        process.kill()
        put += [tuple(map(int, line.split())) for line in lines]  # what it said before it died
    assert process.returncode == -signal.SIGKILL
    on_disk = written(tmp_path)
    assert on_disk == put[: len(on_disk)]
    last = Position(*on_disk[-1])
    async with journaled(tmp_path, limits=OriginLimits()) as room:
        state = (await room.request("GET", f"/publish/room/{KEY.take}")).text
        assert json.loads(state)["renditions"]["64k"]["next"] == Grid(5).after(last)._asdict()
