"""Two ingests on one bus: a take that outlives its owner, and owners that come back too late.

Redis and the writers are real; the ingests tick when the test says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import redis
from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import guard
from contracts.errors import LivesElsewhere, OverCapacity
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.take import TakeKey
from contracts.tokens import TokenGate
from storage.rooms import RoomRecord
from tests.redis_server import RedisServer, poll
from tests.tcp_proxy import TcpProxy
from tests.waiting import until
from tests.world import SECOND, World
from workers.archive.reading import read_story
from workers.cluster.ownership import Ownership
from workers.http_app import add_routes
from workers.intake import START_BUFFER
from workers.redis_bus import keys
from workers.redis_bus.entries import Ended, Gap, Happened, Silence, Sound, decode
from workers.redis_bus.links import open_links
from workers.redis_bus.writers import BusWriters
from workers.relay import Relay
from workers.speaker import PcmSpeaker

pytestmark = pytest.mark.needs("redis-server")

TTL_MS = 600
BLOCK = 240
A_SECOND = 200
_ROOMS = count()


class Node:
    """An ingest with its writers. It renews its claims from `ownership.start` on."""

    def __init__(self, name: str, data: Path, url: str) -> None:
        self.metrics = metrics = Metrics(CollectorRegistry())
        self.links = open_links([url], metrics)
        self.ownership = Ownership(self.links, name, f"http://{name}", ttl_ms=TTL_MS)
        self.world = World(data / name, block=BLOCK, claims=self.ownership)
        self.ingest = self.world.ingest
        self.writers = BusWriters(self.links, self.world.hub, self.ownership, metrics)
        self.writers.start()

    async def stop(self) -> None:
        """As a process goes that is told to: what was said is written, then the rooms are free."""
        await self.ingest.stop()
        await self.writers.stop(5)
        await self.ownership.stop()

    async def close(self) -> None:
        await self.stop()
        await self.links.close()

    async def speak(self, room: str, value: int, ticks: int = A_SECOND) -> tuple[PcmSpeaker, TakeKey]:
        """Ada connects, as soon as this ingest gets the room, and is heard."""
        while True:
            try:
                speaker = await self.ingest.connect(room, "Ada", 1)
            except LivesElsewhere:
                await asyncio.sleep(0.02)
            else:
                break
        self.world.say(speaker, START_BUFFER + ticks * BLOCK, value)
        self.world.tick(ticks)
        live = self.ingest.live(room)
        assert live is not None
        return speaker, live.key


Samples = np.ndarray[tuple[int], np.dtype[np.int16]]
Nodes = Callable[..., Node]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as made, made.client() as client:
        poll(partial(_runs_for_a_second, client), "it has been up for a second")
        yield made


def _runs_for_a_second(client: redis.Redis) -> bool:
    return bool(client.info("server")["uptime_in_seconds"] >= 1)


@pytest.fixture
def room() -> str:
    return f"two{next(_ROOMS)}"


@pytest.fixture
async def node(tmp_path: Path, server: RedisServer) -> AsyncIterator[Nodes]:
    async with AsyncExitStack() as stack:

        def made(name: str, url: str = server.url) -> Node:
            new = Node(name, tmp_path, url)
            stack.push_async_callback(new.close)
            return new

        yield made


def written(
    server: RedisServer, key: TakeKey
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int16]], list[int]]:
    """All samples of a take in Redis, of which none may be missing, and the generations that wrote them."""
    sound: list[Samples] = []
    generations: list[int] = []
    with server.client() as client:
        entries = client.xrange(keys.pcm(key))
    for name, fields in entries:
        match decode(name, fields):
            case Sound(start, _, pcm):
                samples = np.frombuffer(pcm, "<i2")
            case Silence(start, stop):
                samples = np.zeros(stop - start, np.int16)
            case Gap() | Happened() | Ended():
                continue
        assert start == sum(map(len, sound))
        sound.append(samples)
        generations.append(int(fields[b"gen"]))
    return np.concatenate(sound), generations


def top_of(server: RedisServer, key: TakeKey) -> int:
    return int(server.command("HGET", keys.take(key), "top") or -1)


async def in_step(server: RedisServer, at: Node, key: TakeKey) -> int:
    """The top of a take in Redis, once that has all that is worth a write: all but a tenth of a second."""
    (bus,) = [bus for bus in at.world.hub.live() if bus.key == key]
    await until(lambda: bus.top - top_of(server, key) < 4800)
    return top_of(server, key)


async def test_when_an_owner_dies_the_next_ingest_goes_on_with_the_same_take(
    node: Nodes, server: RedisServer, room: str
) -> None:
    a, b = node("a"), node("b")
    _, key = await a.speak(room, 7)
    a.ingest.mute(room, "Ada")
    a.ingest.unmute(room, "Ada")
    a.ingest.chapter(room, "One")
    a.world.tick(20)
    top = await in_step(server, a, key)
    # It dies here: nobody renews what it owns. The take is 3 s older when Ada comes to the other ingest.
    b.world.now = a.world.now + 3 * SECOND
    speaker, again = await b.speak(room, 9)
    assert again == key
    (bus,) = b.world.hub.live()
    assert bus.header == a.world.hub.live()[0].header
    await in_step(server, b, key)
    told = server.command("LRANGE", keys.events(key), 0, -1)
    assert len(told) == len(set(told)) > 4  # what it had is not told again
    samples, generations = written(server, key)
    assert set(generations) == {1, 2}
    assert generations == sorted(generations)
    assert samples[:top].any()
    silent = len(samples) - A_SECOND * BLOCK - top
    assert abs(silent - 3 * 48_000) < 48_000 // 2
    assert not samples[top : top + silent - 48_000 // 2].any()
    assert samples[-BLOCK:].all()
    b.ingest.end(room)
    await b.ingest.secure_end(key)
    b.world.tick(2 * A_SECOND)
    await until(lambda: read_story(b.world.stories._objects, key) is not None)
    story = read_story(b.world.stories._objects, key)
    assert story is not None
    assert [event.title for event in story.chapters] == ["One"]
    assert len(story.speakers[0].joined) == 2
    assert speaker.closed is not None


@asynccontextmanager
async def asked(at: Node) -> AsyncIterator[Callable[[str, str], Awaitable[tuple[int, Any]]]]:
    """What an ingest answers to hosts."""
    app = web.Application(middlewares=[error_middleware(lambda _: "no-store", at.metrics)])
    guard(app, TokenGate(None))
    add_routes(app, at.ingest, at.world.rooms, relay=Relay(at.ownership.owners_of))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as http:

        async def ask(method: str, path: str) -> tuple[int, Any]:
            async with http.request(method, path) as answer:
                return answer.status, await answer.json()

        yield ask
    await runner.cleanup()


async def test_a_host_is_answered_for_a_take_whose_owner_is_gone(
    node: Nodes, server: RedisServer, room: str
) -> None:
    a, b = node("a"), node("b")
    b.ownership.start()
    _, key = await a.speak(room, 7)
    await in_step(server, a, key)
    await until(lambda: not server.command("EXISTS", keys.owner(room)))
    b.world.now = a.world.now + SECOND
    b.world.rooms.put(room, RoomRecord())
    async with asked(b) as ask:
        assert (await ask("DELETE", f"/rooms/{room}"))[0] == 409
        status, told = await ask("GET", f"/rooms/{room}")
        assert (status, told["live"]["take"]) == (200, key.take)
        (bus,) = b.world.hub.live()
        answer = {"room": room, "take": key.take, "samples": bus.top}
        assert await ask("POST", f"/rooms/{room}/end") == (200, answer)
        assert server.command("HGET", keys.take(key), "closed") == str(bus.top).encode()
        assert (await ask("POST", f"/rooms/{room}/end"))[0] == 404
        # Where nothing lives, nobody needs to own anything.
        assert (await ask("GET", f"/rooms/{room}-other"))[0] == 404
        assert not b.ingest.owns(f"{room}-other")


async def test_an_owner_that_thaws_writes_nothing_more(node: Nodes, server: RedisServer, room: str) -> None:
    a, b = node("a"), node("b")
    speaker, key = await a.speak(room, 7)
    await in_step(server, a, key)
    # It is frozen: it neither ticks nor renews. Ada comes to the other ingest.
    b.world.now = a.world.now + SECOND
    await b.speak(room, 9)
    await in_step(server, b, key)
    before, _ = written(server, key)
    # It thaws, and mixes what its sockets still held.
    a.world.say(speaker, A_SECOND * BLOCK, 7)
    a.world.tick(2 * A_SECOND)
    # Its writer hears of the other owner now; where this machine is slow, it has heard before it mixed.
    await until(lambda: not a.ingest.owns(room))
    a.world.tick()
    assert a.world.hub.live() == ()
    assert isinstance(speaker.closed, OverCapacity)
    assert b.ingest.owns(room)
    after, generations = written(server, key)
    assert np.array_equal(after[: len(before)], before)
    assert generations == sorted(generations)
    await until(lambda: a.world.on_disk() == [])
    assert read_story(a.world.stories._objects, key) is None
    with pytest.raises(LivesElsewhere):
        await a.ingest.connect(room, "Ada", 1)


async def test_an_owner_that_is_cut_off_tells_no_story_of_a_take_that_lives_elsewhere(
    node: Nodes, server: RedisServer, room: str
) -> None:
    with TcpProxy(server.port) as proxy:
        a, b = node("a", f"redis://127.0.0.1:{proxy.port}"), node("b")
        speaker, key = await a.speak(room, 7)
        await in_step(server, a, key)
        a.ownership.start()
        proxy.cut()
        a.ingest.leave(speaker)  # Ada comes to the other ingest
        b.world.now = a.world.now + SECOND
        await b.speak(room, 9)
        await until(lambda: not a.links.any_up)
        (bus,) = a.world.hub.live()
        a.world.tick(61 * A_SECOND)
        assert bus.ended is None
        bus.end(bus.top)  # even if it had known of no trouble
        proxy.heal()
        b.world.tick(A_SECOND)
        await until(lambda: not a.ingest.owns(room))
        a.world.tick()
        await until(lambda: a.world.on_disk() == [])
        assert read_story(a.world.stories._objects, key) is None
        _, samples = b.ingest.end(room)
        await b.ingest.secure_end(key)
        b.world.tick(2 * A_SECOND)
        await until(lambda: read_story(b.world.stories._objects, key) is not None)
        assert server.command("HGET", keys.take(key), "closed") == str(samples).encode()


async def test_an_ingest_that_is_told_to_go_hands_its_takes_over_at_once(
    node: Nodes, server: RedisServer, room: str
) -> None:
    a, b = node("a"), node("b")
    _, key = await a.speak(room, 7)
    a.world.tick()  # less than a writer would write by itself
    (bus,) = a.world.hub.live()
    await a.stop()
    assert top_of(server, key) == bus.top
    assert bus.ended is None
    b.world.now = a.world.now
    await b.ingest.connect(room, "Ada", 1)  # which need not be said twice
    (continued,) = b.world.hub.live()
    assert continued.key == key
    assert continued.first == bus.top


async def test_who_comes_back_while_a_room_is_given_up_has_it(node: Nodes, room: str) -> None:
    a = node("a")
    a.world.rooms.put(room, RoomRecord())
    a.ingest.leave(await a.ingest.connect(room, "Ada", 1))
    a.world.tick(2 * A_SECOND)
    speaker = await a.ingest.connect(room, "Ada", 1)
    await until(lambda: not a.ingest._held_rooms._releasing)
    assert a.ingest.owns(room)
    a.world.say(speaker, START_BUFFER)
    a.world.tick()
    assert a.ingest.live(room) is not None


async def test_a_take_that_is_delivered_frees_its_room(node: Nodes, server: RedisServer, room: str) -> None:
    a = node("a")
    speaker, key = await a.speak(room, 7)
    a.ownership.start()
    a.ingest.end(room)
    a.ingest.leave(speaker)
    a.world.tick(3 * A_SECOND)
    await until(lambda: server.command("HGET", keys.take(key), "closed") is not None)
    assert a.ingest.owns(room)
    server.command("HSET", keys.take(key), "delivered", 1)
    await until(lambda: a.world.hub.live() == ())
    a.world.tick(2 * A_SECOND)
    await until(lambda: not server.command("EXISTS", keys.owner(room)))
    assert not a.ingest.owns(room)


async def test_a_take_whose_owner_died_is_ended_and_told_of_by_another(
    node: Nodes, server: RedisServer, room: str
) -> None:
    server.command("DEL", keys.TAKES)
    a, b = node("a"), node("b")
    b.ownership.start()
    _, key = await a.speak(room, 7)
    top = await in_step(server, a, key)
    b.world.now = a.world.now
    await until(lambda: bool(server.command("SISMEMBER", keys.TAKES, keys.member(key))))
    await until(lambda: not server.command("EXISTS", keys.owner(room)))
    await b.ingest._adoption.look(b.world.now)
    b.world.now += 61 * SECOND
    await b.ingest._adoption.look(b.world.now)
    await b.ingest.secure_end(key)
    assert server.command("HGET", keys.take(key), "closed") == str(top).encode()
    b.world.tick(2 * A_SECOND)
    await until(lambda: read_story(b.world.stories._objects, key) is not None)
    story = read_story(b.world.stories._objects, key)
    assert story is not None
    assert story.samples == top
    assert [speaker.name for speaker in story.speakers] == ["Ada"]
    assert server.command("GET", keys.live(room)) is None
