"""What readers bring from real Redis servers that go, come back, freeze and lose what they had."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from contracts.take import TakeEvent
from storage.event_log import event_json
from tests.bus_reading import RUN, SECOND, Worker, add, right, write
from tests.redis_server import RedisServer
from tests.waiting import until
from workers.redis_bus import keys

pytestmark = pytest.mark.needs("redis-server")


async def test_a_redis_that_comes_back_empty_is_read_on(killable_bus: tuple[RedisServer, Worker]) -> None:
    server, worker = killable_bus
    mirror = worker.take()
    # The clock of the next server is far behind: only `lw:changes` goes by it.
    server.command("XADD", keys.CHANGES, "9999999999999-0", "node", "a")
    write(server, mirror.key, 0, 3 * SECOND)
    await until(lambda: mirror.top == 3 * SECOND)
    server.kill()
    await until(lambda: not worker.links[0].up)
    await asyncio.to_thread(server.start)
    # The owner writes again what it holds, in other pieces, and goes on.
    write(server, mirror.key, SECOND, 4 * SECOND, run=7 * 240)
    await until(lambda: mirror.top == 4 * SECOND)
    assert right(mirror, 0, 4 * SECOND)
    changes = worker.readers[0].changes
    seen = changes.version
    server.command("XADD", keys.CHANGES, "5-0", "node", "a")
    await asyncio.wait_for(changes.changed(seen), 10)


async def test_after_a_failover_that_lost_writes_nothing_is_missed(
    killable_bus: tuple[RedisServer, Worker],
) -> None:
    server, worker = killable_bus
    mirror = worker.take()
    events = [TakeEvent(3 * SECOND - RUN * back, 0, "chapter", title=str(back)) for back in (2, 1, 3)]
    write(server, mirror.key, 0, 3 * SECOND)
    for number, event in enumerate(events[:2], 1):
        add(server, mirror.key, f"{3 * SECOND}-{number}", kind="event", event=event_json(event))
    await until(lambda: len(mirror.events_from(0)) == 2)
    server.kill()
    await until(lambda: not worker.links[0].up)
    await asyncio.to_thread(server.start)
    # What the replica had, before anything was written again.
    write(server, mirror.key, 0, 2 * SECOND)
    await until(lambda: worker.links[0].up)
    await until(lambda: mirror.at_edge)
    # The same again, cut otherwise, and something new in the midst of it.
    new_at = 3 * SECOND - 2 * RUN
    write(server, mirror.key, 2 * SECOND, new_at, run=9600)
    for number, event in enumerate((events[2], events[0]), 1):
        add(server, mirror.key, f"{new_at}-{number}", kind="event", event=event_json(event))
    write(server, mirror.key, new_at, 4 * SECOND, run=9600)
    add(server, mirror.key, f"{4 * SECOND}-1", kind="event", event=event_json(events[1]))
    await until(lambda: mirror.top == 4 * SECOND)
    assert right(mirror, 0, 4 * SECOND)
    assert {*mirror.events_from(0)} == {*events}
    assert len(mirror.events_from(0)) == 3


async def test_a_frozen_redis_holds_up_no_other_one(servers: Sequence[RedisServer]) -> None:
    made = Worker()
    made.start(*servers)
    try:
        mirror = made.take()
        for server in servers:
            write(server, mirror.key, 0, RUN)
        await until(lambda: mirror.top == RUN and all(link.up for link in made.links))
        servers[0].freeze()
        try:
            write(servers[1], mirror.key, RUN, 3 * SECOND)
            await until(lambda: mirror.top == 3 * SECOND)
            await until(lambda: not made.links[0].up)
            write(servers[1], mirror.key, 3 * SECOND, 4 * SECOND)
            await until(lambda: mirror.top == 4 * SECOND)
        finally:
            servers[0].thaw()
        write(servers[0], mirror.key, RUN, 5 * SECOND)
        mirror.read(0, 4 * SECOND)
        await until(lambda: mirror.top == 5 * SECOND)
        assert right(mirror, 0, 5 * SECOND)
    finally:
        await made.stop()


async def test_what_one_redis_lost_the_other_one_brings(servers: Sequence[RedisServer]) -> None:
    made = Worker()
    made.start(*servers)
    try:
        mirror = made.take()
        write(servers[0], mirror.key, 0, SECOND)
        write(servers[0], mirror.key, 2 * SECOND, 3 * SECOND)
        await until(lambda: mirror.top == SECOND)
        write(servers[1], mirror.key, 0, 2 * SECOND + 960, run=960)
        await until(lambda: mirror.top == 3 * SECOND)
        assert right(mirror, 0, 3 * SECOND)
    finally:
        await made.stop()


async def test_a_reader_stops_at_whatever_moment_it_is_told_to(servers: Sequence[RedisServer]) -> None:
    for turns in range(60):
        made = Worker()
        made.start(servers[0])
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await made.stop()


async def test_stopping_leaves_no_task_behind_and_costs_no_hole(servers: Sequence[RedisServer]) -> None:
    before = asyncio.all_tasks()
    made = Worker()
    made.start(*servers)
    mirror = made.take()
    write(servers[0], mirror.key, 0, RUN)
    await until(lambda: mirror.top == RUN)
    await made.stop()
    assert asyncio.all_tasks() == before
    assert not mirror.at_edge
