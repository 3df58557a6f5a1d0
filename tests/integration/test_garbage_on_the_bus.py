"""Garbage in Redis, under every name there is: it costs what it stands for, and nobody else anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import redis
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from contracts.errors import BusUnavailable
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeKey
from pipeline.grid import FRAME, LOOKAHEAD_FRAMES, SEGMENT
from storage.event_log import event_json
from tests.bus_writing import Ingest, open_ingest, play
from tests.on_the_bus import put_silence, put_take, take_key
from tests.publishing import MemoryOrigin
from tests.redis_server import RedisServer, redis_servers
from tests.waiting import until
from workers.cluster.carrying import Carrying
from workers.cluster.directory import Directory
from workers.cluster.failure_reports import FailureReports
from workers.cluster.listeners import ListenerCounts
from workers.cluster.node import Node, encode_beat
from workers.cluster.nodes import Nodes
from workers.cluster.owner_keys import OwnerKeys
from workers.cluster.ownership import Ownership
from workers.cluster.redis_view import RedisView
from workers.publisher import Publisher
from workers.redis_bus import keys
from workers.redis_bus.links import BusLinks, open_links
from workers.redis_bus.mirrors import Mirrors
from workers.redis_bus.reader import BusReader
from workers.redis_bus.room_cache import RedisRoomCache
from workers.transcoder_pool import TranscoderPool

pytestmark = pytest.mark.needs("redis-server")

SECOND = 48_000
LOOKAHEAD = LOOKAHEAD_FRAMES * FRAME


@pytest.fixture(scope="module")
def one_server() -> Iterator[RedisServer]:
    with redis_servers(1) as servers:
        yield servers[0]


@pytest.fixture
def server(one_server: RedisServer) -> RedisServer:
    one_server.command("FLUSHALL")
    return one_server


@pytest.fixture
async def links(server: RedisServer) -> AsyncIterator[BusLinks]:
    made = open_links([server.url], Metrics(CollectorRegistry()))
    yield made
    await made.close()


# ---------------------------------------------------------------- owners


@pytest.mark.parametrize("wrong", ["take", "owner", "live"])
async def test_a_take_with_a_key_of_another_kind_hides_no_other_from_ingests(
    server: RedisServer, links: BusLinks, wrong: str
) -> None:
    good, bad = take_key("good"), take_key("bad")
    put_take(server, good)
    put_take(server, bad)
    name = {"take": keys.take(bad), "owner": keys.owner("bad"), "live": keys.live("bad")}[wrong]
    server.command("DEL", name)
    server.command("RPUSH", name, "x")
    owners = OwnerKeys(links[0], "me", "http://me", 3000)
    listed = await owners.listed()
    assert good in listed
    assert (bad in listed) is (wrong == "owner"), "that an owner is there is all that is asked"
    assert links[0].up


async def test_a_room_whose_keys_make_no_sense_hides_not_that_another_was_lost(
    server: RedisServer, links: BusLinks
) -> None:
    owners = OwnerKeys(links[0], "me", "http://me", 3000)
    assert await owners.renew({"bad": 5, "lost": 5, "good": 5}) == {}
    server.command("SET", keys.generation("lost"), "9")
    server.command("DEL", keys.owner("bad"))
    server.command("SET", keys.owner("bad"), "x")
    assert await owners.renew({"bad": 5, "lost": 5, "good": 5}) == {"lost": 9}


@pytest.mark.parametrize("url", [b"", b"http://[::1", b"\xff", b"x" * 5000, b"http://a\r\nX: y"], ids=ascii)
async def test_an_owner_that_nobody_can_reach_is_no_answer(
    server: RedisServer, links: BusLinks, url: bytes
) -> None:
    server.command("HSET", keys.owner("room"), "node", "other", "url", url, "gen", "5")
    with pytest.raises(BusUnavailable, match="makes no sense"):
        await OwnerKeys(links[0], "me", "http://me", 3000).look("room")


async def test_an_event_that_nobody_can_read_costs_itself(server: RedisServer, links: BusLinks) -> None:
    key = take_key("room")
    put_take(server, key)
    joined = event_json(_join())
    server.command("RPUSH", keys.events(key), joined, b"[" * 100_000, b"\xff", b'{"sample": 1e999}')
    found = await OwnerKeys(links[0], "me", "http://me", 3000).read(key)
    assert found is not None
    assert [event.kind for event in found.events] == ["join"]


# ---------------------------------------------------------------- operators


async def test_operators_see_all_takes_but_for_what_makes_no_sense(
    server: RedisServer, links: BusLinks
) -> None:
    for room in ("good", "hash", "owner", "failures", "far"):
        put_take(server, take_key(room))
    server.command("HSET", keys.take(take_key("good")), "top", SECOND)
    server.command("HSET", keys.take(take_key("far")), "top", 10**400)
    for name in (keys.take(take_key("hash")), keys.owner("owner"), keys.failures(take_key("failures"))):
        server.command("DEL", name)
        server.command("SET", name, "x")
    state = await RedisView(Nodes(links, None), links).look()
    assert [bus.up for bus in state.buses] == [True]
    assert {take.key.room: take.samples for take in state.takes} == {
        "good": SECOND, "hash": 0, "owner": 0, "failures": 0, "far": 0,
    }  # fmt: skip
    json.dumps(state.to_json(), allow_nan=False)


# ---------------------------------------------------------------- writers and carriers


async def test_a_bug_that_one_take_meets_keeps_no_other_from_being_written(server: RedisServer) -> None:
    async with open_ingest(server.url) as ingest:
        good, bad = ingest.open(), ingest.open()
        asked = ingest.owned.memo

        def memo(key: TakeKey) -> Any:  # noqa: ANN401 - whatever it is
            if key == bad.key:
                raise ZeroDivisionError("a bug of ours")
            return asked(key)

        ingest.owned.memo = memo  # type: ignore[method-assign]
        play(good, SECOND)
        play(bad, SECOND)
        await until(lambda: int(server.command("HGET", keys.take(good.key), "top") or 0) > SECOND // 2)


async def test_a_take_that_cannot_be_read_is_tried_ever_more_rarely_and_told_of_once(
    server: RedisServer, links: BusLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = take_key("room")
    put_take(server, key)
    server.command("SET", keys.pcm(key), "x")
    directory = Directory(links)
    await directory.refresh()
    metrics = Metrics(CollectorRegistry())
    carrying = Carrying("me", Nodes(links, None), directory, Mirrors(), cast("Any", None), metrics)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with capture_logs() as lines:
        monkeypatch.setattr("workers.cluster.carrying.asyncio.sleep", sleep)
        for _ in range(9):
            carrying._taking_up[key] = cast("Any", None)
            await carrying._take_up(directory.takes[key])
        monkeypatch.undo()
    assert pauses[0] < 1
    assert 14 < pauses[-1] <= 30
    assert len([line for line in lines if line["event"] == "a take cannot be taken up yet"]) == 1


# ---------------------------------------------------------------- all of it at once

TEXTS = (
    b"", b"x", b"\xff\xfe", b"-7", b"1e999", b"NaN", b"9" * 5000, b"1" + b"0" * 400, b"[" * 20_000,
    str(2**60).encode(), str(2**64).encode(), b'{"a": 1e999}', b"[[1e999, 0, 0]]", b'"\\ud800"', b"\0" * 100,
)  # fmt: skip
FIELDS = ("header", "gen", "named", "orders", "loudness", "ended", "delivered", "top", "closed")


def _join() -> TakeEvent:
    return TakeEvent(0, 0, "join", speakers=("Ada",))


def litter(client: redis.Redis) -> list[TakeKey]:
    """Every name in `keys` with everything in it that it should not have, each in a room of its own."""
    rooms = iter(take_key(f"bad-{number}") for number in range(10_000))
    taken: list[TakeKey] = []
    pipe = client.pipeline(transaction=False)

    def take(**fields: bytes) -> TakeKey:
        key = next(rooms)
        taken.append(key)
        memo = dict(_MEMO | {name.encode(): value for name, value in fields.items()})
        pipe.hset(keys.take(key), mapping=cast("Any", memo))
        pipe.set(keys.live(key.room), key.take)
        pipe.sadd(keys.TAKES, keys.member(key))
        pipe.xadd(keys.pcm(key), {"kind": "silence", "start": 0, "gen": 1}, id="4800-0")
        return key

    for text in TEXTS:
        for field in FIELDS:
            take(**{field: text})
        for field in ("kind", "start", "gen", "pcm", "event"):
            entry = {b"kind": b"pcm", b"start": b"4800", b"gen": b"1", b"pcm": b"", b"event": b""}
            key = take()
            pipe.xadd(keys.pcm(key), cast("Any", entry | {field.encode(): text}), id="5760-0")
            entry |= {b"kind": b"event"}
            pipe.xadd(keys.pcm(key), cast("Any", entry | {field.encode(): text}), id="5760-1")
        pipe.rpush(keys.events(take()), text)
        pipe.hset(keys.failures(take()), "node", cast("Any", text))
        pipe.hset(
            keys.owner(take().room), mapping=cast("Any", {"node": b"x" + text, "url": text, "gen": text})
        )
        pipe.set(keys.generation(take().room), text)
        pipe.set(keys.live(take().room), text)
        pipe.set(keys.room(take().room), text)
        pipe.sadd(keys.TAKES, text, b"bad/" + text)
        pipe.hset(keys.NODES, cast("Any", b"node-" + text[:100]), cast("Any", text))
        pipe.hset(keys.CARRYING, "good-node", cast("Any", text))
        pipe.set(keys.listeners("good-node"), text)
    for far in (2**43, 2**60, 2**64 - 1):
        key = take(ended=str(far).encode())
        pipe.xadd(keys.pcm(key), {"kind": "silence", "start": 4800, "gen": 1}, id=f"{far}-0")
        pipe.xadd(keys.pcm(take()), {"kind": "gap", "start": 4800, "gen": 1}, id=f"{far}-0")
        pipe.xadd(keys.pcm(take()), {"kind": "end", "start": 4800, "gen": 1}, id=f"{far}-1")
    beat = json.loads(encode_beat(Node("x", frozenset({"worker"}), encoder="f"), 1, ""))
    for field in beat:
        for word in ("1e999", "1" + "0" * 400, "[" * 4000, '"\\ud800"', "-1", "null", '"http://[::1"'):
            document = json.dumps(beat | {field: "HERE"}).replace('"HERE"', word)
            pipe.hset(keys.NODES, f"{field}-{len(word)}", document)
    for kind in ("take", "pcm", "events", "failures", "owner", "generation", "live", "room"):
        key = take()
        name = getattr(keys, kind)(key if kind in {"take", "pcm", "events", "failures"} else key.room)
        pipe.delete(name)
        pipe.zadd(name, {"x": 1})
    pipe.delete(keys.CHANGES)
    pipe.set(keys.CHANGES, "x")
    pipe.execute()
    return taken


_MEMO = {
    b"header": json.dumps(
        {"epoch_us": 1_769_889_600_000_000, "channels": 1, "parts": 5, "renditions": ["64k"], "encoder": "f"}
    ).encode(),
    b"gen": b"1",
    b"named": b"0",
    b"orders": b"{}",
    b"loudness": b"[]",
}


class Worker:
    """A worker, in process, whose beats and looks run by themselves."""

    def __init__(self, links: BusLinks) -> None:
        self.origin = MemoryOrigin("origin")
        self.metrics = metrics = Metrics(CollectorRegistry())
        self.mirrors = Mirrors()
        self.nodes = Nodes(links, lambda: Node("worker", frozenset({"worker"}), encoder="f", capacity=64))
        self.reports = FailureReports(links, "worker", asyncio.get_running_loop().time)
        self.directory = Directory(links)
        self.reader = BusReader(links[0], self.mirrors, metrics)
        self.publisher = Publisher([self.origin], metrics)
        self.pool = TranscoderPool(self.mirrors, self.publisher, metrics, threads=1)
        self.carrying = Carrying(
            "worker", self.nodes, self.directory, self.mirrors, self.publisher, metrics, redundancy=1
        )
        self.parts: tuple[Any, ...] = (
            self.nodes, self.reports, self.directory, self.reader, self.pool, self.carrying,
        )  # fmt: skip

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return [task for part in self.parts for task in part.background]


@asynccontextmanager
async def running(links: BusLinks) -> AsyncIterator[Worker]:
    worker = Worker(links)
    for part in worker.parts:
        part.start()
    try:
        yield worker
    finally:
        for part in reversed(worker.parts):
            await part.stop()
        await worker.publisher.stop()


async def heard(ingest: Ingest, worker: Worker, seconds: int) -> None:
    """A room is spoken in, and every segment that is over arrives at the origin."""
    bus = next(iter(ingest.hub.live()))
    for _ in range(5 * seconds):
        play(bus, SECOND // 5)
        await asyncio.sleep(0.01)
    await until(lambda: _reached(worker, bus.key) >= (bus.top - LOOKAHEAD) // SEGMENT)


def _reached(worker: Worker, key: TakeKey) -> int:
    take = worker.origin.takes.get(key)
    return 0 if take is None else take.renditions["64k"].next.msn


async def test_among_garbage_of_every_kind_a_good_room_is_heard_without_a_hole(
    server: RedisServer, links: BusLinks
) -> None:
    with server.client() as client, capture_logs() as lines:
        async with open_ingest(server.url) as ingest, running(links) as worker:
            good = ingest.open(take_key("good"))
            await heard(ingest, worker, 4)
            litter(client)
            await heard(ingest, worker, 4)
            await until(lambda: len(worker.mirrors.live()) > 150)
            await heard(ingest, worker, 4)
            await _ask_everything(links)
            put_silence(server, take_key("late"), 0, 9600)
            put_take(server, take_key("late"))
            await until(lambda: worker.mirrors.get(take_key("late")) is not None)
            await heard(ingest, worker, 4)
            await until(lambda: "lw:changes" in (worker.reader.degraded or ""))
            window = worker.origin.takes[good.key].renditions["64k"]
            assert [segment.msn for segment in window.segments][:7] == [0, 1, 2, 3, 4, 5, 6]
            assert not [
                segment.msn for segment in window.segments if window.segment_bytes(segment.msn) is None
            ]
            assert not [task for task in worker.tasks if task.done()]
            assert links[0].up
    tracebacks = [line for line in lines if line.get("exc_info")]
    assert tracebacks == []
    assert len(lines) < 400, "garbage is a few lines"


async def _ask_everything(links: BusLinks) -> None:
    """What ingests, origins and operators ask: of what makes no sense they learn nothing, or that."""
    state = await RedisView(Nodes(links, None), links).look()
    json.dumps(state.to_json(), allow_nan=False)
    ownership = Ownership(links, "me", "http://me")
    for take in await ownership.unattended():
        try:
            await ownership.recall(take.key)
            await ownership.owner_of(take.key.room)
        except BusUnavailable:
            continue
    counts = ListenerCounts(links, lambda: ["good-node"])
    await counts._ask()
    assert (counts.of("good"), counts.claimed("z")) == (0, frozenset())
    cache = RedisRoomCache(links)
    for number in range(10):
        await asyncio.to_thread(cache.get, f"bad-{number}")
