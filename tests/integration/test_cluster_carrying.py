"""Workers that share takes over real Redis servers; time is passed in, and what they publish is made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import RenditionState, TakeKey, TakeState
from pipeline.grid import Grid, first_sample
from tests.on_the_bus import HEADER, Clock, links_to, put_silence, put_take, take_key
from tests.redis_server import RedisServer, redis_servers
from workers.cluster import carrying as carrying_module
from workers.cluster.carrying import Carrying
from workers.cluster.directory import Directory
from workers.cluster.listing import Held
from workers.cluster.node import Node
from workers.cluster.nodes import BEAT_EVERY, Nodes
from workers.cluster.placement import Placing, place
from workers.cluster.progress import at_live_edge, first_needed
from workers.redis_bus import keys
from workers.redis_bus.links import BusLinks
from workers.redis_bus.mirror import Mirror
from workers.redis_bus.mirrors import Mirrors

redis = pytest.mark.needs("redis-server")
KEY = take_key("room")


def state(following: Position | None, end: int | None = None) -> TakeState:
    """What an origin has that waits for this position; None: no media."""
    first = None if following is None else 0
    return TakeState({"64k": RenditionState(first, following or Position(0, 0))}, end)


@dataclass
class FakePublisher:
    """What origins say that they have, and how far they have takes from here."""

    origins: dict[TakeKey, list[TakeState | None]] = field(default_factory=dict)
    encoded: dict[TakeKey, Position] = field(default_factory=dict)
    asked: list[TakeKey] = field(default_factory=list)

    async def states(self, key: TakeKey) -> list[TakeState | None]:
        self.asked.append(key)
        return self.origins.get(key, [])

    def reached(self, key: TakeKey) -> Position | None:
        return self.encoded.get(key)


class Worker:
    """One worker; a `quick` one has encoded everything as soon as it follows a take.

    One that is `cut_off` reads the bus, and no origin takes anything from it.
    """

    def __init__(self, name: str, links: BusLinks, clock: Clock, redundancy: int) -> None:
        self.name = name
        self.quick = True
        self.cut_off = False
        self.mirrors = Mirrors(clock=clock)
        self.publisher = FakePublisher()
        self.metrics = Metrics(CollectorRegistry())
        self.directory = Directory(links, clock=clock)
        self.nodes = Nodes(links, self.me, clock=clock)
        self.carrying = Carrying(
            name,
            self.nodes,
            self.directory,
            self.mirrors,
            self.publisher,
            self.metrics,
            redundancy=redundancy,
            clock=clock,
        )

    def me(self) -> Node:
        carrying = self.carrying.carrying
        return Node(self.name, frozenset({"worker"}), encoder="fp", carrying=carrying, draining=self.cut_off)

    async def live(self) -> None:
        """One heartbeat, one look at what lives, and what follows from that."""
        await self.nodes.beat()
        await self.directory.refresh()
        self.carrying.look()
        await asyncio.gather(*self.carrying._taking_up.values(), *self.carrying._telling)
        for mirror in self.mirrors.live() if self.quick and not self.cut_off else ():
            self.encode(mirror)
        self.carrying.look()

    def encode(self, mirror: Mirror) -> None:
        mirror.brought("bus", all_of_it=True)
        self.publisher.encoded[mirror.key] = Grid(5).position_of_sample(mirror.top)

    def rooms(self) -> set[str]:
        return {mirror.key.room for mirror in self.mirrors.live()}


@dataclass
class Crew:
    """Workers, all of which live by the test's time."""

    clock: Clock
    workers: dict[str, Worker]
    servers: Sequence[RedisServer]

    def __getitem__(self, name: str) -> Worker:
        return self.workers[name]

    async def pass_time(self, seconds: float, *living: str) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until - 1e-9:
            self.clock.now += BEAT_EVERY
            for name in living or self.workers:
                await self.workers[name].live()

    def carriers(self, *among: str) -> dict[str, set[str]]:
        """Who carries each room."""
        names = among or tuple(self.workers)
        rooms = {room for name in names for room in self.workers[name].rooms()}
        return {room: {name for name in names if room in self.workers[name].rooms()} for room in rooms}


@pytest.fixture(scope="module")
def two_servers() -> Iterator[Sequence[RedisServer]]:
    with redis_servers(2) as servers:
        yield servers


@pytest.fixture
def servers(two_servers: Sequence[RedisServer]) -> Sequence[RedisServer]:
    for server in two_servers:
        server.command("FLUSHALL")
    return two_servers


@asynccontextmanager
async def crew(servers: Sequence[RedisServer], *names: str, redundancy: int = 1) -> AsyncIterator[Crew]:
    clock = Clock()
    links = links_to(servers, clock)
    try:
        yield Crew(clock, {name: Worker(name, links, clock, redundancy) for name in names}, servers)
    finally:
        await links.close()


def put_takes(servers: Sequence[RedisServer], count: int) -> set[str]:
    rooms = {f"room{number}" for number in range(count)}
    for server in servers:
        for room in rooms:
            put_take(server, take_key(room))
            put_silence(server, take_key(room), 0, 9_600)
    return rooms


async def settled(clockwork: Crew, *living: str) -> None:
    """Everybody knows everybody, and takes are where they belong."""
    await clockwork.pass_time(4, *living)


@redis
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


@redis
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
        monkeypatch.setattr(carrying_module, "place", counted)
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


@redis
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


@redis
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


@redis
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


@redis
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


@redis
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


@redis
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


@redis
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


@redis
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


@redis
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


@redis
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


@redis
async def test_a_take_that_is_on_no_bus_yet_is_taken_up_when_it_is(servers: Sequence[RedisServer]) -> None:
    put_take(servers[0], KEY)
    async with crew(servers, "a") as one:
        await one.pass_time(1)
        assert not one["a"].rooms()
        put_silence(servers[0], KEY, 0, 9_600)
        await one.pass_time(1)
        assert one["a"].rooms() == {"room"}


@redis
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


@redis
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


@redis
async def test_what_origins_have_to_its_end_is_not_carried(servers: Sequence[RedisServer]) -> None:
    put_take(servers[0], KEY, ended=960_000)
    put_silence(servers[0], KEY, 0, 960_000)
    async with crew(servers, "a") as one:
        one["a"].publisher.origins[KEY] = [state(Position(10, 0), end=960_000)] * 2
        await one.pass_time(1)
        assert not one["a"].rooms()
        assert not servers[0].command("SMEMBERS", keys.TAKES)


@redis
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


@redis
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


@redis
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


@redis
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


def test_a_worker_is_at_the_live_edge_when_all_is_here_and_encoded_but_the_newest_part() -> None:
    mirror = Mirror(KEY, HEADER, 0, now=0.0)
    mirror.append_silence(0, 96_000)
    newest = Grid(5).position_of_sample(96_000 - 2 * 1024)
    assert newest == Position(0, 4)
    assert not at_live_edge(mirror, newest), "nobody knows whether more is on the bus"
    mirror.brought("bus", all_of_it=True)
    assert at_live_edge(mirror, Position(0, 4))
    assert at_live_edge(mirror, Position(0, 3))
    assert not at_live_edge(mirror, Position(0, 2))


@pytest.mark.parametrize(
    ("held", "states", "first"),
    [
        (Held(0, 500_000), [], 0),
        (Held(0, 500_000), [None], 0),
        (Held(0, 500_000), [state(Position(2, 3))], first_sample(2) - 4096),
        (Held(0, 500_000), [state(Position(0, 3))], 0),
        # One that knows of the take and has no media takes any segment, as one does that does not know of it.
        (Held(0, 500_000), [state(None), state(Position(3, 0)), None], first_sample(3) - 4096),
        (Held(0, 500_000), [state(None)], 0),
        # The one that has the end needs nothing.
        (Held(0, 500_000), [state(Position(1, 0), end=99), state(Position(3, 0))], first_sample(3) - 4096),
        # What the bus has dropped is lost, and so is the beginning of what it holds in part.
        (Held(200_000, 500_000), [state(Position(1, 2))], first_sample(3) - 4096),
        (Held(287_000, 500_000), [state(Position(1, 2))], 287_000),
        (None, [state(Position(4, 0))], first_sample(4) - 4096),
        # What an origin lacks that is far behind is not encoded again: its sisters have it.
        (Held(0, 9_000_000), [state(Position(80, 2)), state(Position(55, 1))], first_sample(78) - 4096),
        (Held(0, 9_000_000), [state(Position(80, 2)), state(Position(79, 4))], first_sample(79) - 4096),
        (
            Held(0, 9_000_000),
            [state(Position(90, 0), end=99), state(Position(55, 1))],
            first_sample(55) - 4096,
        ),
    ],
)
def test_a_take_is_needed_from_four_frames_before_the_segment_that_the_origin_ahead_waits_for(
    held: Held | None, states: list[TakeState | None], first: int
) -> None:
    assert first_needed(held, states) == first
