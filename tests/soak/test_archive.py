"""Rooms are archived while everything fails, for minutes: every part that was served is kept, to the byte."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.take import TakeKey
from storage.disk_objects import DiskObjects
from storage.objects import Objects
from tests.faults.counting import Counted, assert_nothing_is_left, count
from tests.faults.endings import kill_at_the_end
from tests.faults.room import degraded, finished, restart, sound, speaking, until, verified
from tests.faults.s3 import in_s3
from tests.faults.small_disk import fill, in_small_disk, make_room, seen_by
from tests.faulty_proxy import Fault, FaultyProxy
from tests.server import Server
from tests.soak.recorder import Recording

pytestmark = [pytest.mark.soak, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(900)]

KILLS = 20
ENDS = 10
AWAY_SECONDS = int(os.environ.get("LONGWAVE_SOAK_SECONDS", "600"))
# A busy machine takes its time to start a server, and no take is to end meanwhile.
PATIENT = {"LONGWAVE_IDLE_TIMEOUT": "600"}

# What a storage does between two kills, to every request.
FAULTS: tuple[Callable[[FaultyProxy], object], ...] = (
    lambda proxy: proxy.add(Fault.DELAY, seconds=1.0),
    lambda proxy: proxy.add(Fault.UNAVAILABLE),
    lambda proxy: proxy.add(Fault.HANG),
    lambda proxy: proxy.add(Fault.HANG_AFTER, method="PUT"),
    lambda proxy: proxy.add(Fault.CUT_BEFORE),
    lambda proxy: proxy.add(Fault.CUT_AFTER, method="PUT"),
    lambda proxy: proxy.add(Fault.CUT_ANSWER),
    lambda proxy: proxy.add(Fault.CONFLICT, method="PUT"),
    FaultyProxy.down,
    lambda _: None,
)


async def test_twenty_kills_with_a_disk(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path / "data")
    with Server(tmp_path / "data", env=PATIENT) as server:
        key, recordings = await _twenty_kills(server, tmp_path, lambda _: None)
        await _judge(server, objects, key, recordings)


async def test_twenty_kills_with_s3_that_fails_in_every_way(tmp_path: Path) -> None:
    with in_s3(tmp_path / "data", **PATIENT) as s3:

        def other_fault(kill: int) -> None:
            s3.proxy.clear()
            s3.proxy.up()
            FAULTS[kill % len(FAULTS)](s3.proxy)

        with s3.server as server:
            key, recordings = await _twenty_kills(server, tmp_path, other_fault)
            s3.proxy.clear()
            s3.proxy.up()
            await _judge(server, s3.objects, key, recordings)
            print(f"{len(s3.proxy.requests)} requests to the storage")  # noqa: T201 - read by people


async def _twenty_kills(
    server: Server, directory: Path, before: Callable[[int], object]
) -> tuple[TakeKey, list[Recording]]:
    """One take through all kills; some hit a server that starts, and some the sender too."""
    rng = random.Random(20)
    async with speaking(server, sound(directory), "talk") as (room,):
        await room.hear(1)
        for kill in range(KILLS):
            await asyncio.to_thread(before, kill)
            await asyncio.sleep(rng.uniform(0.0, 8.0))
            if kill % 5 == 2:
                await room.change_sender()
            if kill % 4 == 3:
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.spawn)
                await asyncio.sleep(rng.uniform(0.0, 3.0))
            await restart(server)
        await room.hear(5, 60)
        return room.key, await room.end()


async def _judge(server: Server, objects: Objects, key: TakeKey, recordings: list[Recording]) -> Counted:
    await finished(server.data_dir, objects, key, seconds=120)
    counted = count(objects, key, recordings)
    report = verified(server, key)
    print(f"\n{counted.summary()}; verified: {report}")  # noqa: T201 - `make soak` is read by people
    assert [c for each in recordings for c in each.complaints if c.kind == "bytes"] == []
    assert (report["samples"], report["missing_samples"]) == (counted.samples, counted.lost)
    assert set(counted.reasons) <= {"never encoded: the server was down"}
    assert_nothing_is_left(objects, key, server.data_dir)
    return counted


# ---- the end of a take -------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["disk", "s3"])
async def test_kills_at_the_moment_of_finishing(tmp_path: Path, storage: str) -> None:
    rng = random.Random(300)
    with in_s3(tmp_path / "s3", **PATIENT) as s3:
        server = s3.server if storage == "s3" else Server(tmp_path / "disk", env=PATIENT)
        objects = s3.objects if storage == "s3" else DiskObjects(tmp_path / "disk")
        samples = 0
        with server:
            for number in range(ENDS):
                names = [f"{name}{number}" for name in ("a", "b", "c")]
                after = rng.uniform(0.0, 0.3)
                samples += await kill_at_the_end(server, objects, sound(tmp_path), names, after=after)
    print(f"\n{storage}: {3 * ENDS} takes, {ENDS} kills within 0.3 s of their ends: {samples} samples")  # noqa: T201


# ---- long faults -------------------------------------------------------------------------------------------


async def test_s3_that_is_gone_for_ten_minutes_loses_nothing_and_disturbs_nobody(tmp_path: Path) -> None:
    with in_s3(tmp_path / "data", **PATIENT) as s3, s3.server as server:
        async with speaking(server, sound(tmp_path, 60), "talk") as (room,):
            await room.hear(5)
            s3.proxy.down()
            await asyncio.sleep(AWAY_SECONDS)
            await until(lambda: "archive: " in degraded(server), 40)
            s3.proxy.up()
            await until(lambda: not degraded(server), 60)
            await room.hear(3)
            recordings = await room.end()
        counted = await _judge(server, s3.objects, room.key, recordings)
    assert [each.complaints for each in recordings] == [[], []]
    assert counted.lost == 0


@pytest.mark.needs("mounts")
async def test_a_disk_that_is_full_for_longer_than_a_window_costs_what_no_memory_has(tmp_path: Path) -> None:
    window = {"LONGWAVE_WINDOW_SECONDS": "30"}
    with in_small_disk(tmp_path / "data", 12 * 2**20, **PATIENT, **window) as server:
        data = seen_by(server)
        objects = DiskObjects(data)
        async with speaking(server, sound(tmp_path), "talk") as (room,):
            await room.hear(5)
            fill(server)
            await until(lambda: "archive: the disk was full" in degraded(server))
            await room.hear(5 * 45, 300)
            make_room(server)
            await until(lambda: not degraded(server), 60)
            await room.hear(5)
            recordings = await room.end()
        key = room.key
        await finished(data, objects, key, seconds=120)
        counted = count(objects, key, recordings, given_up="the disk was full")
        print(f"\n{counted.summary()}; verified: {verified(server, key, data)}")  # noqa: T201
        assert_nothing_is_left(objects, key, data)
    assert [each.complaints for each in recordings] == [[], []]
    assert set(counted.reasons) == {"the disk was full"}
    # What was refused before a window's time is lost; what came since is not.
    assert 0 < counted.lost < counted.samples - 30 * 48_000
