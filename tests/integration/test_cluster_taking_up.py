"""Workers that take takes up over real Redis servers: from where, when, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from contracts.position import Position
from pipeline.grid import first_sample
from tests.crews import KEY, crew, put_takes, settled, state
from tests.on_the_bus import put_silence, put_take, take_key
from tests.redis_server import RedisServer, redis_servers
from workers.redis_bus import keys

pytestmark = pytest.mark.needs("redis-server")


async def test_a_new_take_begins_at_its_first_sample_without_asking_origins(
    servers: Sequence[RedisServer],
) -> None:
    put_takes(servers, 1)
    async with crew(servers, "a") as one:
        await settled(one)
        (mirror,) = one["a"].mirrors.live()
        assert mirror.first == 0
        assert not one["a"].publisher.asked
        assert one["a"].metrics.takes_taken_over._value.get() == 0


async def test_a_take_that_runs_is_read_from_where_origins_need_it(servers: Sequence[RedisServer]) -> None:
    put_take(servers[0], KEY)
    put_silence(servers[0], KEY, 48_000, 960_000)
    async with crew(servers, "a") as one:
        one["a"].publisher.origins[KEY] = [state(Position(9, 3)), state(Position(8, 1)), None]
        await settled(one)
        (mirror,) = one["a"].mirrors.live()
        assert mirror.first == first_sample(8) - 4 * 1024
        assert one["a"].metrics.takes_taken_over._value.get() == 1
        assert one["a"].metrics.takes_carried._value.get() == 1


async def test_a_take_that_is_on_no_bus_yet_is_taken_up_when_it_is(servers: Sequence[RedisServer]) -> None:
    put_take(servers[0], KEY)
    async with crew(servers, "a") as one:
        await one.pass_time(1)
        assert not one["a"].rooms()
        put_silence(servers[0], KEY, 0, 9_600)
        await one.pass_time(1)
        assert one["a"].rooms() == {"room"}


async def test_a_take_that_is_delivered_leaves_all_lists_and_is_not_taken_up_again(
    servers: Sequence[RedisServer],
) -> None:
    put_takes(servers, 1)
    key = take_key("room0")
    async with crew(servers, "a", "b", redundancy=2) as two:
        await settled(two)
        two["a"].mirrors.close(key)
        await two.pass_time(1)
        assert [server.command("SMEMBERS", keys.TAKES) for server in servers] == [set(), set()]
        assert not two["a"].rooms()
        assert two["b"].rooms(), "it has not seen the end yet"
        await two.pass_time(11)
        assert not two["b"].rooms()


async def test_nothing_is_remembered_of_a_take_that_left_while_others_had_it(
    servers: Sequence[RedisServer],
) -> None:
    put_takes(servers, 1)
    key = take_key("room0")
    async with crew(servers, "a", "b", redundancy=2) as two:
        await settled(two)
        two["a"].mirrors.close(key)
        await two.pass_time(1)
        assert two["b"].rooms() == {"room0"}
        assert two["b"].carrying._others_since
        # It has the end as well, before anybody asks for it.
        two["b"].mirrors.close(key)
        await two.pass_time(1)
        assert not two["b"].carrying._others_since


async def test_what_origins_have_to_its_end_is_not_carried(servers: Sequence[RedisServer]) -> None:
    put_take(servers[0], KEY, ended=960_000)
    put_silence(servers[0], KEY, 0, 960_000)
    async with crew(servers, "a") as one:
        one["a"].publisher.origins[KEY] = [state(Position(10, 0), end=960_000)] * 2
        await one.pass_time(1)
        assert not one["a"].rooms()
        assert not servers[0].command("SMEMBERS", keys.TAKES)


async def test_a_take_that_ended_and_is_on_no_bus_any_more_ends_at_origins(
    servers: Sequence[RedisServer],
) -> None:
    put_take(servers[0], KEY, ended=960_000)
    async with crew(servers, "a") as one:
        one["a"].publisher.origins[KEY] = [state(Position(9, 3)), state(Position(10, 0), end=960_000)]
        await one.pass_time(1)
        (mirror,) = one["a"].mirrors.live()
        assert mirror.first == first_sample(9) - 4 * 1024
        one["a"].mirrors.attach("bus")
        for _ in range(12):
            await one.pass_time(1)
            one["a"].mirrors.answered("bus")
            one["a"].mirrors.settle()
        assert mirror.ended == 960_000
        # It is nobody's business but the transcoder's now, even if somebody else has delivered it.
        await one["a"].directory.delivered(KEY)
        await one.pass_time(20)
        assert one["a"].rooms() == {"room"}


async def test_without_redis_everybody_goes_on_with_what_there_is() -> None:
    with redis_servers(1) as servers:
        rooms = put_takes(servers, 6)
        async with crew(servers, "a", "b") as two:
            await settled(two)
            before = {name: two[name].rooms() for name in "ab"}
            servers[0].kill()
            await two.pass_time(20)
            assert {name: two[name].rooms() for name in "ab"} == before
            servers[0].start()
            await two.pass_time(20)
            assert {name: two[name].rooms() for name in "ab"} == before, (
                "and nobody takes an empty one's word"
            )
            assert before["a"] | before["b"] == rooms


async def test_nothing_is_taken_up_before_others_were_seen(servers: Sequence[RedisServer]) -> None:
    put_takes(servers, 6)
    async with crew(servers, "a", "b") as two:
        await settled(two, "a")
        two["b"].carrying.start()
        await two["b"].directory.refresh()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not two["b"].mirrors.live()
        await two["b"].nodes.beat()
        seen = -1
        while not two["b"].mirrors.live():
            seen = await two["b"].mirrors.changed(seen)
        assert two["b"].rooms() < {f"room{number}" for number in range(6)}
        assert not any(task.done() for task in two["b"].carrying.background)
        await two["b"].carrying.stop()


async def test_nothing_is_taken_up_before_others_know_what_the_last_process_died_of(
    servers: Sequence[RedisServer],
) -> None:
    put_takes(servers, 1)
    async with crew(servers, "a") as one:
        told = asyncio.Event()

        async def ready() -> None:
            await told.wait()

        worker = one["a"]
        worker.carrying._ready = ready
        await worker.nodes.beat()
        await worker.directory.refresh()
        worker.carrying.start()
        await asyncio.sleep(0.5)
        assert not worker.mirrors.live()
        told.set()
        while not worker.mirrors.live():
            await worker.mirrors.changed(worker.mirrors.version)
        await worker.carrying.stop()
