"""What operators are shown: of one process, and of nodes and takes that real Redis servers tell of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from contracts.access import Grant, guard
from contracts.errors import StorageUnavailable
from contracts.http import error_middleware
from contracts.listeners import EdgeReport, Headcount, Tier
from contracts.metrics import Metrics
from contracts.take import TakeHeader, TakeKey, TakeSettings
from contracts.tokens import Keys, TokenGate
from storage.rooms import RoomRecord, RoomStore
from tests.over_takes import Memory, Watched
from tests.redis_server import RedisServer
from workers.cluster.node import Node
from workers.cluster.nodes import Nodes
from workers.cluster.redis_view import RedisView
from workers.cluster.view import ClusterState, ClusterView, LocalView, TakeView
from workers.http_cluster import ClusterHandlers
from workers.memory_bus import MemoryHub
from workers.redis_bus import keys
from workers.redis_bus.links import BusLinks, open_links

TOKENS = Keys({"k": b"k" * 32})
NEWS = TakeKey("news", "20260201T120000Z-abcdef")
SPORTS = TakeKey("sports", "20260201T130000Z-abcdef")
Client = TestClient[web.Request, web.Application]
ME = Node(
    id="here-1",
    roles=frozenset({"ingest", "worker", "origin"}),
    url="http://here",
    carrying=frozenset({f"news/{NEWS.take}"}),
    capacity=4,
    load=0.5,
    memory=2**27,
    latency_ms=45.0,
    listeners=3,
    version="1",
    started_s=60.0,
)


def shown(role: str, room: str | None = None) -> dict[str, str]:
    token = TOKENS.sign(Grant(role, room), 4_000_000_000)  # type: ignore[arg-type]
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def site(view: ClusterView, rooms: RoomStore) -> AsyncIterator[Client]:
    app = web.Application(middlewares=[error_middleware(lambda _: "no-store", Metrics(CollectorRegistry()))])
    guard(app, TokenGate(keys=TOKENS))
    ClusterHandlers(view, rooms).add_routes(app)
    async with TestClient(TestServer(app)) as client:
        yield client


async def ask(client: Any, path: str, role: str = "admin") -> Any:  # noqa: ANN401 - JSON
    async with client.get(path, headers=shown(role)) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


class Fixed:
    """A view that shows what it is told to."""

    def __init__(self, *takes: TakeView) -> None:
        self.takes = takes

    async def look(self) -> ClusterState:
        return ClusterState((ME,), self.takes)


# ---- over HTTP ---------------------------------------------------------------------------------------------


async def test_one_process_is_a_cluster_of_one() -> None:
    hub = MemoryHub()
    for key in (SPORTS, NEWS):
        hub.open(key, TakeHeader(0, TakeSettings(), "f")).append_silence(0, 96_000)
    hub.open(NEWS, TakeHeader(0, TakeSettings(), "f")).end(96_000)
    view = LocalView(lambda: ME, hub.live, lambda key: key == SPORTS)
    async with site(view, RoomStore(Memory())) as client:
        for role in ("admin", "publish"):
            state = await ask(client, "/cluster.json", role)
        assert [(take["room"], take["ended"], take["carried_by"]) for take in state["takes"]] == [
            ("news", True, ["here-1"]),
            ("sports", False, []),
        ]
        assert state["takes"][1] == {
            "room": "sports",
            "take": SPORTS.take,
            "owner": "here-1",
            "carried_by": [],
            "samples": 96_000,
            "seconds": 2.0,
            "ended": False,
            "failures": 0,
            "quarantined": True,
            "tier": "origin",
            "listeners": {},
        }
        (node,) = state["nodes"]
        assert (node["id"], node["uptime_s"]) == ("here-1", 60.0)
        assert node["roles"] == ["ingest", "origin", "worker"]
        assert (node["carrying"], node["latency_ms"]) == ([f"news/{NEWS.take}"], 45.0)
        assert (state["buses"], state["edges"]) == ([], [])


async def test_takes_say_where_they_are_heard_and_edges_how_many_hear_through_them() -> None:
    hub = MemoryHub()
    for key in (SPORTS, NEWS):
        hub.open(key, TakeHeader(0, TakeSettings(), "f")).append_silence(0, 96_000)
    hub.open(NEWS, TakeHeader(0, TakeSettings(), "f")).end(96_000)
    known = [
        Headcount(
            {"sports": 3, "news": 1},
            {"e1": EdgeReport(Tier.EDGE, {"sports": 200, "other": 7}), "c1": EdgeReport(Tier.CDN, {})},
            {"sports": Tier.EDGE},
        ),
        # The other origin has missed the last that the edge told.
        Headcount({"sports": 2}, {"e1": EdgeReport(Tier.EDGE, {"sports": 150})}, {"sports": Tier.CDN}),
    ]
    view = LocalView(lambda: ME, hub.live, known=lambda: known)
    async with site(view, RoomStore(Memory())) as client:
        state = await ask(client, "/cluster.json")
        assert [(take["room"], take["tier"], take["listeners"]) for take in state["takes"]] == [
            ("news", "origin", {}),
            ("sports", "cdn", {"origin": 5, "edge": 200}),
        ]
        assert state["edges"] == [
            {"name": "c1", "tier": "cdn", "listeners": 0, "rooms": 0},
            {"name": "e1", "tier": "edge", "listeners": 207, "rooms": 2},
        ]


@pytest.mark.parametrize(("path", "roles"), [("/cluster.json", {"admin", "publish"}), ("/rooms", {"admin"})])
async def test_only_operators_see_it(path: str, roles: set[str]) -> None:
    async with site(Fixed(), RoomStore(Memory())) as client:
        seen = set()
        for role in ("admin", "host", "speaker", "publish"):
            room = "news" if role in {"host", "speaker"} else None
            async with client.get(path, headers=shown(role, room)) as answer:
                seen |= {role} if answer.status == 200 else set()
                assert answer.headers["Cache-Control"] == "no-store"
        async with client.get(path, headers=shown("admin", "news")) as answer:
            assert answer.status == 403
        assert seen == roles


async def test_rooms_that_are_kept_and_rooms_that_are_live_are_listed_page_by_page() -> None:
    rooms = RoomStore(Memory())
    for number in range(5):
        rooms.put(f"room-{number}", RoomRecord(title=f"Title {number}"))
    async with site(Fixed(TakeView(NEWS, ME.id, (), 48_000)), rooms) as client:
        everything = (await ask(client, "/rooms"))["rooms"]
        assert [row["room"] for row in everything] == ["news", *(f"room-{number}" for number in range(5))]
        assert (everything[0]["made"], everything[0]["url"]) == (False, "http://here")
        assert everything[0]["live"]["seconds"] == 1.0
        assert (everything[1]["title"], everything[1]["live"]) == ("Title 0", None)
        assert everything[1]["made"]
        pages = []
        page: Any = {"next": ""}
        while page["next"] is not None:
            page = await ask(client, f"/rooms?limit=2&after={page['next']}")
            pages.append([row["room"] for row in page["rooms"]])
        assert pages == [["news", "room-0"], ["room-1", "room-2"], ["room-3", "room-4"]]
        for wrong in ("limit=0", "limit=201", "limit=x", "after=a%2Fb"):
            async with client.get(f"/rooms?{wrong}", headers=shown("admin")) as answer:
                assert answer.status == 400


async def test_live_rooms_are_listed_while_the_storage_is_away() -> None:
    def gone(_what: str, _name: str) -> None:
        raise StorageUnavailable("the storage is gone")

    rooms = RoomStore(Watched(Memory(), gone), shared=True)
    async with site(Fixed(TakeView(NEWS, None, (), 0)), rooms) as client:
        answer = await ask(client, "/rooms")
        assert [row["room"] for row in answer["rooms"]] == ["news"]
        assert answer["incomplete"] == "the storage is gone"
        assert answer["rooms"][0]["url"] is None


# ---- from Redis --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with RedisServer() as one, RedisServer() as other:
        yield one, other


@asynccontextmanager
async def bus(*servers: RedisServer) -> AsyncIterator[BusLinks]:
    links = open_links([server.url for server in servers], Metrics(CollectorRegistry()))
    try:
        for link in links:
            await link.call("coordinate", link.client.flushdb())
        yield links
    finally:
        await links.close()


async def put_take(link: Any, key: TakeKey, top: int, **fields: int) -> None:  # noqa: ANN401 - a link
    await link.client.sadd(keys.TAKES, keys.member(key))
    await link.client.hset(keys.take(key), mapping={"top": top, **fields})


@pytest.mark.needs("redis-server")
async def test_takes_are_told_as_whoever_knows_most_tells_them(
    servers: tuple[RedisServer, RedisServer],
) -> None:
    async with bus(*servers) as links:
        await put_take(links[0], NEWS, 96_000)
        await put_take(links[1], NEWS, 72_000)
        await put_take(links[1], SPORTS, 48_000, closed=48_000)
        for link in links:
            await link.client.sadd(keys.TAKES, b"nonsense", b"\xff/x")
        await links[1].client.hset(keys.owner("news"), mapping={"node": "here-1", "gen": 1})
        await links[0].client.hset(keys.failures(SPORTS), mapping={"w1": 1})
        await links[1].client.hset(keys.failures(SPORTS), mapping={"w1": 1, "w2": 2})
        nodes = Nodes(links, lambda: ME)
        await nodes.beat()
        state = await RedisView(nodes, links).look()
        assert state.takes == (
            TakeView(NEWS, "here-1", ("here-1",), 96_000),
            TakeView(SPORTS, None, (), 48_000, ended=True, failures=3, quarantined=True),
        )
        assert [node.id for node in state.nodes] == ["here-1"]
        assert [(each.up, each.lag_s) for each in state.buses] == [(True, 0.0), (True, 0.5)]


@pytest.mark.needs("redis-server")
async def test_a_redis_that_is_gone_is_shown_to_be_so_and_the_other_tells_the_rest() -> None:
    with RedisServer() as one, RedisServer() as other:
        async with bus(one, other) as links:
            await put_take(links[1], NEWS, 96_000)
            one.kill()
            view = RedisView(Nodes(links, None), links)
            state = await view.look()
            assert [take.key for take in state.takes] == [NEWS]
            gone, there = state.buses
            assert (gone.up, gone.lag_s, there.up) == (False, None, True)
            assert gone.trouble
            other.kill()
            assert (await view.look()).takes == ()


@pytest.mark.needs("redis-server")
async def test_a_look_is_two_round_trips_however_many_takes_there_are(
    servers: tuple[RedisServer, RedisServer],
) -> None:
    async with bus(servers[0]) as links:
        for number in range(20):
            await put_take(links[0], TakeKey(f"room-{number}", NEWS.take), 48_000)
        registry = CollectorRegistry()
        counted = open_links([servers[0].url], Metrics(registry))
        try:
            assert len((await RedisView(Nodes(counted, None), counted).look()).takes) == 20
        finally:
            await counted.close()
        trips = registry.get_sample_value(
            "longwave_bus_round_trips_total", {"bus": counted[0].name, "kind": "coordinate"}
        )
        assert trips == 2
