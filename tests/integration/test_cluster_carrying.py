"""Workers that share takes over real Redis servers: who carries what, and who lets go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from contracts.take import TakeKey
from tests.crews import KEY, crew, put_takes, settled
from tests.on_the_bus import put_take, take_key
from tests.redis_server import RedisServer
from workers.cluster import shares
from workers.cluster.node import Node
from workers.cluster.nodes import BEAT_EVERY
from workers.cluster.placement import Placing, place
from workers.redis_bus import keys

pytestmark = pytest.mark.needs("redis-server")


@pytest.mark.parametrize("redundancy", [1, 2])
async def test_every_take_is_carried_by_as_many_as_shall(
    servers: Sequence[RedisServer], redundancy: int
) -> None:
    rooms = put_takes(servers, 12)
    async with crew(servers, "a", "b", "c", redundancy=redundancy) as three:
        await settled(three)
        carriers = three.carriers()
        assert carriers.keys() == rooms
        assert {len(names) for names in carriers.values()} == {redundancy}
        assert all(1 <= len(three[name].rooms()) <= 5 * redundancy for name in "abc")
        said = three["a"].nodes.alive("worker")[1].carrying
        assert said == {f"{room}/{KEY.take}" for room in three["b"].rooms()}


async def test_takes_are_shared_out_again_only_when_that_could_change_something(
    servers: Sequence[RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[int] = []

    def counted(
        takes: Sequence[Placing], workers: Sequence[Node], redundancy: int
    ) -> dict[TakeKey, tuple[str, ...]]:
        shared.append(len(takes))
        return place(takes, workers, redundancy)

    put_takes(servers, 8)
    async with crew(servers, "a", "b") as two:
        await settled(two)
        monkeypatch.setattr(shares, "place", counted)
        version = two["a"].nodes.version
        two["b"].publisher.encoded.clear()
        two["b"].quick = False
        await two.pass_time(1)
        assert not two["b"].carrying.carrying
        put_take(servers[0], take_key("room0"), ended=9_600)
        await two.pass_time(4)
        assert two["a"].nodes.version > version
        assert shared == [], "b has fallen behind, and a take has ended"
        put_take(servers[0], take_key("new"))
        await two.pass_time(1)
        assert shared == [9, 9]


async def test_the_takes_of_a_dead_worker_run_elsewhere_within_three_seconds(
    servers: Sequence[RedisServer],
) -> None:
    rooms = put_takes(servers, 8)
    async with crew(servers, "a", "b", "c") as three:
        await settled(three)
        assert three["a"].rooms()
        await three.pass_time(3, "b", "c")
        assert three.carriers("b", "c").keys() == rooms
        # Thawed, it finds everything taken up by others, and goes back to its share.
        await settled(three)
        assert {len(names) for names in three.carriers().values()} == {1}


async def test_a_take_is_let_go_only_when_its_new_worker_has_its_newest_part(
    servers: Sequence[RedisServer],
) -> None:
    rooms = put_takes(servers, 8)
    async with crew(servers, "a", "b") as two:
        await settled(two, "a")
        two["b"].quick = False
        await two.pass_time(10)
        moving = two["b"].rooms()
        assert moving
        assert two["a"].rooms() == rooms, "b follows them, and has encoded nothing"
        two["b"].quick = True
        await two.pass_time(BEAT_EVERY)
        assert two["a"].rooms() == rooms, "a has not heard of it"
        await two.pass_time(2)
        assert two["a"].rooms() == rooms - moving


async def test_a_worker_that_fell_behind_gets_no_take_back_before_it_has_caught_up(
    servers: Sequence[RedisServer],
) -> None:
    rooms = put_takes(servers, 8)
    async with crew(servers, "a", "b") as two:
        await settled(two)
        own = two["a"].rooms()
        assert own
        await two.pass_time(3, "b")
        assert two["b"].rooms() == rooms
        # Thawed, it finds on the bus what came meanwhile.
        two["a"].quick = False
        for mirror in two["a"].mirrors.live():
            mirror.append_silence(mirror.top, 480_000)
        await two.pass_time(4)
        assert two["b"].rooms() == rooms
        two["a"].quick = True
        await two.pass_time(3)
        assert two["a"].rooms() == own
        assert two["b"].rooms() == rooms - own


async def test_what_no_origin_has_is_carried_by_nobody(servers: Sequence[RedisServer]) -> None:
    put_takes(servers, 1)
    async with crew(servers, "a") as one:
        await settled(one)
        assert one["a"].carrying.carrying
        one["a"].quick = False
        one["a"].publisher.encoded.clear()
        await one.pass_time(BEAT_EVERY)
        assert not one["a"].carrying.carrying
        assert one["a"].rooms()


async def test_the_takes_of_a_worker_that_reaches_no_origin_fall_to_those_that_do(
    servers: Sequence[RedisServer],
) -> None:
    rooms = put_takes(servers, 8)
    async with crew(servers, "a", "b") as two:
        await settled(two)
        own = {name: two[name].rooms() for name in "ab"}
        for name in "ab":
            two[name].cut_off = True
        await two.pass_time(4)
        assert {name: two[name].rooms() for name in "ab"} == own, "nobody reaches one: nobody gains"
        two["b"].cut_off = False
        await two.pass_time(4)
        assert two["b"].rooms() == rooms
        assert two["a"].rooms() == set()


async def test_a_take_that_fails_at_one_worker_is_tried_by_another_one(
    servers: Sequence[RedisServer],
) -> None:
    rooms = put_takes(servers, 8)
    async with crew(servers, "a", "b") as two:
        await settled(two)
        # One that can encode nothing: to blame are not its takes.
        for room in two["a"].rooms():
            for server in servers:
                server.command("HSET", keys.failures(take_key(room)), "a", 5)
        await two.pass_time(8)
        assert two["a"].rooms() == set()
        assert two["b"].rooms() == rooms
        assert not any(take.failures.condemned for take in two["b"].directory.takes.values())


async def test_a_worker_that_drains_leaves_when_others_have_everything(
    servers: Sequence[RedisServer],
) -> None:
    rooms = put_takes(servers, 8)
    async with crew(servers, "a", "b") as two:
        await settled(two)
        two["b"].quick = False
        leaving = asyncio.create_task(two["a"].carrying.drain(60))
        await asyncio.sleep(0)
        await two.pass_time(4)
        assert two["b"].rooms() == rooms
        assert two["a"].rooms()
        assert not leaving.done()
        two["b"].quick = True
        await two.pass_time(3)
        await leaving
        assert two["a"].rooms() == set()
        assert two["b"].rooms() == rooms


async def test_draining_waits_neither_for_nobody_nor_for_ever(servers: Sequence[RedisServer]) -> None:
    rooms = put_takes(servers, 4)
    async with crew(servers, "a", "b") as two:
        await settled(two, "a")
        await two["a"].carrying.drain(1e9)
        assert two["a"].rooms() == rooms, "it is all there is: it goes on until it is stopped"
    async with crew(servers, "a", "b") as two:
        two["b"].quick = False
        await settled(two)
        leaving = asyncio.create_task(two["a"].carrying.drain(5))
        await two.pass_time(4.4)
        assert not leaving.done()
        two.clock.now += 2
        await leaving
