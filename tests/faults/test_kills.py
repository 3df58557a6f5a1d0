"""kill -9 of a server whose rooms are archived: what listeners got is kept, all else is in gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.disk_objects import DiskObjects
from tests.faults.counting import assert_nothing_is_left, count
from tests.faults.endings import kill_at_the_end
from tests.faults.room import finished, restart, sound, speaking, verified
from tests.server import Server

pytestmark = [pytest.mark.faults, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all: each test kills it, and finds it as the kill before has left it."""
    with Server(tmp_path_factory.mktemp("killed") / "data") as running:
        yield running


async def test_after_every_kill_all_served_parts_are_archived_and_the_rest_is_in_gaps(
    server: Server, tmp_path: Path, lasting: Callable[[float, float], float]
) -> None:
    objects = DiskObjects(server.data_dir)
    heard = (5, 2, 4)[: int(lasting(3, 2))]
    async with speaking(server, sound(tmp_path), "talk") as (room,):
        for parts in heard:
            await room.hear(parts)
            await restart(server)
        await room.hear(3)
        recordings = await room.end()
    key = room.key
    await finished(server.data_dir, objects, key)
    counted = count(objects, key, recordings)
    report = verified(server, key)
    assert [each for each in recordings if any(c.kind == "bytes" for c in each.complaints)] == []
    assert all(each.away for each in recordings)
    assert counted.served >= 2 * (sum(heard) + 3)
    # Each kill costs the segment that was begun, and those of the time without a server.
    assert counted.reasons.keys() == {"never encoded: the server was down"}
    assert (report["samples"], report["missing_samples"]) == (counted.samples, counted.lost)
    assert_nothing_is_left(objects, key, server.data_dir)


async def test_a_server_killed_at_a_take_s_end_finishes_it_when_it_is_back(
    server: Server, tmp_path: Path
) -> None:
    objects = DiskObjects(server.data_dir)
    assert await kill_at_the_end(server, objects, sound(tmp_path), ["one", "two"], after=0.1)
