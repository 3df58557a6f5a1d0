"""Heartbeats in real Redis; the time of each node is passed in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from contracts.metrics import Metrics
from tests.on_the_bus import Clock
from tests.redis_server import RedisServer, redis_servers
from workers.cluster.liveness import DEAD_AFTER
from workers.cluster.node import Node
from workers.cluster.nodes import BEAT_EVERY, Nodes
from workers.redis_bus import keys
from workers.redis_bus.links import open_links

pytestmark = pytest.mark.needs("redis-server")


@dataclass
class Stage:
    """Nodes that beat when the test says so, at times that the test says."""

    clock: Clock
    urls: Sequence[str]
    nodes: dict[str, Nodes]
    says: dict[str, Node]

    async def pass_time(self, seconds: float, *beating: str) -> None:
        """Time goes by, with a heartbeat of these every 0.4 s."""
        until = self.clock.now + seconds
        while self.clock.now < until - 1e-9:
            self.clock.now = min(until, self.clock.now + BEAT_EVERY)
            for name in beating:
                await self.nodes[name].beat()

    def seen_by(self, name: str) -> list[str]:
        return [node.id for node in self.nodes[name].alive("worker")]


@asynccontextmanager
async def stage(*names: str, servers: Sequence[RedisServer]) -> AsyncIterator[Stage]:
    clock = Clock()
    links = open_links([server.url for server in servers], Metrics(CollectorRegistry()))
    says = {name: Node(name, frozenset({"worker"}), capacity=2) for name in names}
    nodes = {name: Nodes(links, partial(says.__getitem__, name), clock=clock) for name in names}
    try:
        yield Stage(clock, [server.url for server in servers], nodes, says)
    finally:
        await links.close()


async def test_a_node_is_seen_with_all_it_says(servers: Sequence[RedisServer]) -> None:
    async with stage("a", "b", servers=servers) as cluster:
        said = Node(
            id="b",
            roles=frozenset({"worker", "origin"}),
            url="http://b:1",
            encoder="fp",
            draining=True,
            carrying=frozenset({"room/20260131T200000Z-abc234", "x/20260131T200000Z-abc235"}),
            capacity=8,
            load=3.25,
            memory=123456789,
            latency_ms=48.5,
            listeners=7,
            version="1.2",
            started_s=60.5,
        )
        cluster.says["b"] = said
        await cluster.pass_time(BEAT_EVERY, "b", "a")
        assert cluster.nodes["a"].alive("origin") == (said,)
        assert cluster.seen_by("a") == ["a", "b"]


async def test_a_changed_list_of_takes_comes_with_the_next_heartbeat(
    servers: Sequence[RedisServer],
) -> None:
    async with stage("a", "b", servers=servers) as cluster:
        await cluster.pass_time(1, "b", "a")
        seen = cluster.nodes["a"].version
        for carrying in (frozenset({"r/1"}), frozenset({"r/1", "r/2"}), frozenset[str]()):
            cluster.says["b"] = replace(cluster.says["b"], carrying=carrying)
            await cluster.pass_time(BEAT_EVERY, "b", "a")
            assert cluster.nodes["a"].alive("worker")[1].carrying == carrying
        assert cluster.nodes["a"].version == seen + 3


async def test_a_list_that_redis_lost_is_there_again_two_seconds_later(
    servers: Sequence[RedisServer],
) -> None:
    async with stage("a", "b", servers=servers[:1]) as cluster:
        cluster.says["b"] = replace(cluster.says["b"], carrying=frozenset({"r/1"}))
        await cluster.pass_time(1, "b")
        servers[0].command("FLUSHALL")
        await cluster.pass_time(2 + BEAT_EVERY, "b")
        await cluster.nodes["a"].beat()
        assert cluster.nodes["a"].alive("worker")[1].carrying == {"r/1"}


async def test_load_and_latency_are_no_news(servers: Sequence[RedisServer]) -> None:
    async with stage("a", "b", servers=servers) as cluster:
        await cluster.pass_time(1, "b", "a")
        seen = cluster.nodes["a"].version
        cluster.says["b"] = replace(cluster.says["b"], load=1.5, latency_ms=50.0, started_s=9.0, memory=5)
        await cluster.pass_time(1, "b", "a")
        assert cluster.nodes["a"].version == seen


async def test_a_node_that_falls_silent_is_dead_within_two_seconds_and_alive_with_its_next_sign(
    servers: Sequence[RedisServer],
) -> None:
    async with stage("a", "b", "c", servers=servers) as cluster:
        await cluster.pass_time(4, "b", "c", "a")
        await cluster.pass_time(DEAD_AFTER - BEAT_EVERY, "c", "a")
        assert cluster.seen_by("a") == ["a", "b", "c"]
        await cluster.pass_time(2 * BEAT_EVERY, "c", "a")
        assert cluster.seen_by("a") == cluster.seen_by("c") == ["a", "c"]
        # Thawed: whatever it thinks of the others, they see it with its first sign.
        await cluster.pass_time(BEAT_EVERY, "b", "a")
        assert cluster.seen_by("a") == ["a", "b", "c"]


async def test_a_node_that_stood_still_itself_takes_nobody_for_dead(servers: Sequence[RedisServer]) -> None:
    async with stage("a", "b", servers=servers) as cluster:
        await cluster.pass_time(4, "b", "a")
        cluster.clock.now += 30
        await cluster.nodes["a"].beat()
        await cluster.pass_time(DEAD_AFTER - BEAT_EVERY, "a")
        assert cluster.seen_by("a") == ["a", "b"]
        await cluster.pass_time(3 * BEAT_EVERY, "a")
        assert cluster.seen_by("a") == ["a"]


async def test_one_who_has_just_come_believes_what_it_finds_at_first(
    servers: Sequence[RedisServer],
) -> None:
    async with stage("a", "dead", servers=servers) as cluster:
        await cluster.pass_time(1, "dead")
        cluster.clock.now += 100
        await cluster.nodes["a"].beat()
        assert cluster.seen_by("a") == ["a", "dead"]
        await cluster.pass_time(DEAD_AFTER + BEAT_EVERY, "a")
        assert cluster.seen_by("a") == ["a"]


async def test_a_node_that_one_redis_shows_is_alive(servers: Sequence[RedisServer]) -> None:
    async with stage("a", "b", servers=servers) as cluster, stage("c", servers=servers[1:]) as other:
        other.clock = cluster.clock
        await cluster.pass_time(4, "a", "b")
        for _ in range(12):
            await other.nodes["c"].beat()
            await cluster.pass_time(BEAT_EVERY, "a")
        assert cluster.seen_by("a") == ["a", "c"]


async def test_without_redis_everybody_stays_and_for_three_seconds_after() -> None:
    with redis_servers(1) as servers:
        async with stage("a", "b", servers=servers) as cluster:
            await cluster.pass_time(4, "a", "b")
            servers[0].kill()
            await cluster.pass_time(4, "a")
            assert cluster.seen_by("a") == ["a", "b"]
            servers[0].start()
            await cluster.pass_time(2.9, "a")
            assert cluster.seen_by("a") == ["a", "b"], "Redis came back empty, and b may need a moment"
            await cluster.pass_time(3 * BEAT_EVERY, "a")
            assert cluster.seen_by("a") == ["a"]


async def test_with_one_of_two_gone_the_dead_are_still_found() -> None:
    with redis_servers(2) as servers:
        async with stage("a", "b", servers=servers) as cluster:
            await cluster.pass_time(4, "a", "b")
            servers[1].kill()
            await cluster.pass_time(2, "a", "b")
            assert cluster.seen_by("a") == ["a", "b"]
            await cluster.pass_time(DEAD_AFTER + BEAT_EVERY, "a")
            assert cluster.seen_by("a") == ["a"]


async def test_what_is_no_heartbeat_is_ignored_with_one_line(servers: Sequence[RedisServer]) -> None:
    good = {
        "beat": 1, "roles": ["worker"], "url": "", "encoder": "", "draining": False, "carrying": "",
        "capacity": 1, "load": 0, "memory": 0, "latency_ms": None, "listeners": 0, "version": "",
        "started_s": 0,
    }  # fmt: skip
    broken = {
        "not-json": b"{",
        "list": b"[]",
        "deep": b"[" * 8000,
        "not-utf8": b"\xff\xfe",
        "long": b"1" * 9000,
        "capacity": json.dumps(good | {"capacity": 0}).encode(),
        "nan": json.dumps(good | {"load": float("nan")}).encode(),
        "too-large-for-a-float": json.dumps(good | {"load": 10**400}).encode(),
        "infinite": json.dumps(good).replace('"load": 0', '"load": 1e999').encode(),
        "no-host": json.dumps(good | {"url": "http://"}).encode(),
        "not-http": json.dumps(good | {"url": "javascript:alert(1)"}).encode(),
        "half-an-address": json.dumps(good | {"url": "http://[::1"}).encode(),
        "no-port": json.dumps(good | {"url": "http://a:99999"}).encode(),
        "roles": json.dumps(good | {"roles": "worker"}).encode(),
        "bool": json.dumps(good | {"beat": True}).encode(),
        "escape": json.dumps(good | {"url": "\x1b[2J"}).encode(),
        "an id with spaces": json.dumps(good).encode(),
    }
    for name, text in broken.items():
        servers[0].command("HSET", keys.NODES, name, text)
    servers[0].command("HSET", keys.CARRYING, "b", b"\xff")
    async with stage("a", "b", servers=servers[:1]) as cluster:
        with capture_logs() as logs:
            await cluster.pass_time(2, "a", "b")
        assert cluster.seen_by("a") == ["a", "b"]
        complaints = [line for line in logs if line["event"] == "this is no heartbeat"]
        assert len(complaints) == 2 * len(broken), "one each for either observer"


async def test_a_hundred_things_that_are_no_heartbeats_are_a_few_lines(
    servers: Sequence[RedisServer],
) -> None:
    for number in range(200):
        servers[0].command("HSET", keys.NODES, f"nonsense-{number}", "{")
    async with stage("a", servers=servers[:1]) as cluster:
        with capture_logs() as logs:
            await cluster.pass_time(4, "a")
        assert len([line for line in logs if line["event"] == "this is no heartbeat"]) < 50


async def test_who_was_silent_for_ten_minutes_is_taken_off_the_list(servers: Sequence[RedisServer]) -> None:
    async with stage("a", "gone", servers=servers) as cluster:
        servers[0].command("HSET", keys.NODES, "nonsense", "{")
        await cluster.pass_time(1, "a", "gone")
        for _ in range(599):
            cluster.clock.now += 1
            await cluster.nodes["a"].beat()
        assert set(servers[1].command("HKEYS", keys.NODES)) == {b"a", b"gone"}
        assert cluster.nodes["a"]._dead
        for _ in range(3):
            cluster.clock.now += 1
            await cluster.nodes["a"].beat()
        for server in servers:
            assert set(server.command("HKEYS", keys.NODES)) == {b"a"}
        assert not cluster.nodes["a"]._dead


async def test_where_nobody_beats_any_more_redis_forgets_what_all_share(
    servers: Sequence[RedisServer],
) -> None:
    async with stage("a", servers=servers) as cluster:
        servers[0].command("SADD", keys.TAKES, "room/20260131T200000Z-abc234")
        await cluster.pass_time(1, "a")
        for name in (keys.NODES, keys.CARRYING, keys.TAKES, keys.CHANGES):
            assert 0 < servers[0].command("TTL", name) <= keys.EXPIRES_SECONDS
            assert servers[0].command("PERSIST", name)
        await cluster.pass_time(1, "a")
        assert servers[0].command("TTL", keys.TAKES) > 0, "each heartbeat says it again"


async def test_coming_draining_and_leaving_wake_whoever_waits(servers: Sequence[RedisServer]) -> None:
    async with stage("a", servers=servers) as cluster:
        nodes = cluster.nodes["a"]
        await cluster.pass_time(2, "a")
        assert [server.command("XLEN", keys.CHANGES) for server in servers] == [1, 1]
        await nodes.drain()
        assert [server.command("XLEN", keys.CHANGES) for server in servers] == [2, 2]
        assert nodes.alive("worker")[0].draining
        await nodes.stop()
        assert [server.command("XLEN", keys.CHANGES) for server in servers] == [3, 3]
        assert not servers[0].command("EXISTS", keys.NODES, keys.CARRYING)


async def test_a_frozen_redis_delays_no_heartbeat_to_the_other() -> None:
    with redis_servers(2) as servers:
        links = open_links([server.url for server in servers], Metrics(CollectorRegistry()))
        a = Nodes(links, lambda: Node("a", frozenset({"worker"})))
        b = Nodes(links, lambda: Node("b", frozenset({"worker"})))
        a.start()
        b.start()
        await a.observed()
        seen = -1
        while len(a.alive("worker")) < 2:
            seen = await a.changed(seen)
        servers[0].freeze()
        try:
            beats: set[bytes] = set()
            while len(beats) < 4:
                beats.add(await asyncio.to_thread(servers[1].command, "HGET", keys.NODES, "a"))
        finally:
            servers[0].thaw()
        assert len(b.alive("worker")) == 2
        assert not any(task.done() for task in (*a.background, *b.background))
        await a.stop()
        await b.stop()
        await links.close()


async def test_a_node_whose_name_another_process_has_says_so(servers: Sequence[RedisServer]) -> None:
    async with stage("a", servers=servers) as cluster, stage("a", servers=servers) as copy:
        copy.clock = cluster.clock
        nodes = cluster.nodes["a"]
        with capture_logs() as logs:
            await cluster.pass_time(2, "a")
            assert nodes.twin is None
            for _ in range(4):
                await copy.nodes["a"].beat()
                await cluster.pass_time(BEAT_EVERY, "a")
            assert "same name" in str(nodes.twin)
            assert len([line for line in logs if line["log_level"] == "error"]) == 2, "either of them, once"
        await cluster.pass_time(12, "a")
        assert nodes.twin is None


async def test_a_node_that_starts_anew_or_whose_redis_forgets_has_no_twin(
    servers: Sequence[RedisServer],
) -> None:
    async with stage("a", servers=servers) as before:
        await before.pass_time(2, "a")
    async with stage("a", servers=servers) as cluster:
        old = servers[0].command("HGET", keys.NODES, "a")
        await cluster.pass_time(2, "a")
        assert servers[0].command("HGET", keys.NODES, "a") != old
        older = servers[0].command("HGET", keys.NODES, "a")
        await cluster.pass_time(1, "a")
        servers[0].command("HSET", keys.NODES, "a", older)
        servers[1].command("FLUSHALL")
        await cluster.pass_time(1, "a")
        servers[0].command("HSET", keys.NODES, "a", "garbage")
        await cluster.pass_time(1, "a")
        assert cluster.nodes["a"].twin is None


async def test_one_who_only_watches_leaves_no_trace(servers: Sequence[RedisServer]) -> None:
    async with stage("b", servers=servers) as cluster:
        links = open_links(cluster.urls, Metrics(CollectorRegistry()))
        watcher = Nodes(links, None, clock=cluster.clock)
        await cluster.pass_time(1, "b")
        await watcher.beat()
        assert [node.id for node in watcher.alive("worker")] == ["b"]
        await watcher.stop()
        assert servers[0].command("HKEYS", keys.NODES) == [b"b"]
        await links.close()
