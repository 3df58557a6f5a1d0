"""What lives, over real Redis servers; time is passed in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from contracts.errors import BusUnavailable
from tests.on_the_bus import HEADER, Clock, links_to, put_silence, put_take, take_key
from tests.redis_server import RedisServer
from workers.cluster import directory as directory_module
from workers.cluster.directory import Directory
from workers.cluster.listing import Held
from workers.redis_bus import keys

pytestmark = pytest.mark.needs("redis-server")

KEY, OTHER = take_key("room"), take_key("other")


@dataclass
class World:
    """A directory over two servers, and its time."""

    servers: Sequence[RedisServer]
    clock: Clock
    directory: Directory
    another: Directory

    async def pass_time(self, seconds: float, step: float = 1.0) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += step
            await self.directory.refresh()

    def listed(self) -> set[str]:
        return {key.room for key in self.directory.takes}


@pytest.fixture
async def world(two_servers: Sequence[RedisServer]) -> AsyncIterator[World]:
    for server in two_servers:
        server.restart()
    clock = Clock()
    links = links_to(two_servers, clock)
    yield World(two_servers, clock, Directory(links, clock=clock), Directory(links, clock=clock))
    await links.close()


async def test_a_take_is_listed_with_what_any_redis_knows_of_it(world: World) -> None:
    put_take(world.servers[0], KEY)
    put_take(world.servers[1], OTHER)
    await world.directory.refresh()
    assert world.listed() == {"room", "other"}
    assert world.directory.takes[KEY].memo.header == HEADER
    await world.pass_time(1)
    put_take(world.servers[1], KEY, generation=2, ended=96_000)
    world.servers[1].command("HSET", keys.failures(KEY), "w1", 2)
    seen = world.directory.version
    await world.pass_time(4)
    take = world.directory.takes[KEY]
    assert (take.memo.generation, take.memo.ended, take.failures.count) == (2, 96_000, 2)
    assert world.directory.version == seen + 1


async def test_what_did_not_change_is_no_news(world: World) -> None:
    put_take(world.servers[0], KEY)
    await world.pass_time(1)
    seen = world.directory.version
    await world.pass_time(10)
    assert world.directory.version == seen


async def test_one_that_comes_back_empty_takes_nothing_off_for_ten_minutes(world: World) -> None:
    for server in world.servers:
        put_take(server, KEY)
    await world.pass_time(5)
    world.servers[0].restart()
    world.servers[1].kill()
    await world.pass_time(30)
    assert world.listed() == {"room"}, "the other one is away, and listed it last"
    world.servers[1].start()
    await world.pass_time(590, step=5)
    assert world.listed() == {"room"}
    await world.pass_time(20)
    assert world.listed() == set()


async def test_a_take_that_comes_back_in_time_stays(world: World) -> None:
    put_take(world.servers[0], KEY)
    await world.pass_time(5)
    world.servers[0].restart()
    await world.pass_time(500, step=5)
    put_take(world.servers[0], KEY)
    await world.pass_time(5)
    world.servers[0].restart()
    await world.pass_time(500, step=5)
    assert world.listed() == {"room"}


async def test_a_redis_that_is_just_back_is_not_believed_that_a_take_is_gone(world: World) -> None:
    put_take(world.servers[0], KEY)
    await world.pass_time(5)
    world.servers[0].restart()
    await world.pass_time(5)
    for server in world.servers:
        server.kill()
    await world.pass_time(700, step=50)
    world.servers[0].start()
    await world.pass_time(1)
    assert world.listed() == {"room"}, "its owner has had no time to say it again"


async def test_a_take_that_is_delivered_leaves_every_list(world: World) -> None:
    for server in world.servers:
        put_take(server, KEY)
    await world.directory.refresh()
    await world.directory.delivered(KEY)
    assert world.listed() == set()
    for server in world.servers:
        assert not server.command("SISMEMBER", keys.TAKES, keys.member(KEY))
        assert server.command("HGET", keys.take(KEY), "delivered") == b"1"
        assert 0 < server.command("TTL", keys.take(KEY)) <= keys.EXPIRES_SECONDS
        assert server.command("XLEN", keys.CHANGES)
    await world.directory.refresh()
    assert world.listed() == set()


async def test_a_redis_that_was_away_is_told_what_was_delivered(world: World) -> None:
    for server in world.servers:
        put_take(server, KEY)
    await world.directory.refresh()
    world.servers[1].kill()
    await world.directory.delivered(KEY)
    world.servers[1].start()
    put_take(world.servers[1], KEY)
    await world.pass_time(1)
    assert world.listed() == set()
    assert not world.servers[1].command("SMEMBERS", keys.TAKES)
    assert world.servers[1].command("HGET", keys.take(KEY), "delivered") == b"1"


async def test_one_redis_that_knows_of_the_delivery_is_enough(world: World) -> None:
    for server in world.servers:
        put_take(server, KEY)
    await world.directory.refresh()
    # As another worker says it that reaches one of them only.
    world.servers[0].command("HSET", keys.take(KEY), "delivered", 1)
    world.servers[0].command("SREM", keys.TAKES, keys.member(KEY))
    await world.pass_time(4)
    assert world.listed() == set()
    assert not world.servers[1].command("SMEMBERS", keys.TAKES)
    # One who comes later believes the same at its first look.
    put_take(world.servers[1], KEY)
    await world.another.refresh()
    await world.another.refresh()
    assert not world.another.takes


async def test_garbage_is_ignored_with_one_line_each(world: World) -> None:
    server = world.servers[0]
    for member in (b"no take", b"\xff/\xff", b"room/../../etc"):
        server.command("SADD", keys.TAKES, member)
    wrong = {
        "hash": take_key("w1"),
        "header": take_key("w2"),
        "newer": take_key("w3"),
        "failures": take_key("w4"),
    }
    for key in wrong.values():
        put_take(server, key)
    server.command("DEL", keys.take(wrong["hash"]))
    server.command("SET", keys.take(wrong["hash"]), "no hash")
    server.command("HSET", keys.take(wrong["header"]), "header", "[" * 5000)
    server.command("HSET", keys.take(wrong["newer"]), "header", '{"epoch_us": 1, "codec": "new"}')
    server.command("LPUSH", keys.failures(wrong["failures"]), "no number")
    put_take(server, KEY)
    with capture_logs() as logs:
        await world.pass_time(10)
    assert world.listed() == {"room", "w4"}
    complaints = [line for line in logs if line["log_level"] == "error"]
    assert len(complaints) == 3 + 2, "three members and two headers"


async def test_a_list_that_is_no_set_lists_nothing(world: World) -> None:
    world.servers[0].command("SET", keys.TAKES, "no set")
    put_take(world.servers[1], KEY)
    await world.pass_time(2)
    assert world.listed() == {"room"}


async def test_what_is_listed_without_being_known_is_struck_off_in_the_end(world: World) -> None:
    put_take(world.servers[0], KEY)
    world.servers[0].command("SADD", keys.TAKES, keys.member(OTHER))
    await world.pass_time(595, step=5)
    assert world.servers[0].command("SISMEMBER", keys.TAKES, keys.member(OTHER))
    await world.pass_time(10)
    assert world.servers[0].command("SMEMBERS", keys.TAKES) == {keys.member(KEY)}


async def test_what_the_buses_hold_of_a_take(world: World) -> None:
    assert await world.directory.held(KEY) is None
    put_silence(world.servers[0], KEY, 4_800, 9_600)
    put_silence(world.servers[0], KEY, 9_600, 19_200)
    put_silence(world.servers[1], KEY, 960, 14_400)
    world.servers[0].command("XADD", keys.pcm(KEY), "19200-1", "kind", "event")
    assert await world.directory.held(KEY) == Held(960, 19_200)
    world.servers[1].kill()
    assert await world.directory.held(KEY) == Held(4_800, 19_200)
    world.servers[0].kill()
    with pytest.raises(BusUnavailable):
        await world.directory.held(KEY)


async def test_news_of_changes_makes_it_look_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "_EVERY", 1000.0)
    world.directory.start()
    await world.directory.looked()
    # Both have looked, and wait now.
    await asyncio.sleep(0.05)
    put_take(world.servers[1], KEY)
    seen = world.directory.version
    world.directory.wake()
    await asyncio.wait_for(world.directory.changed(seen), 10)
    assert world.listed() == {"room"}
    assert not any(task.done() for task in world.directory.background)
    await world.directory.stop()
