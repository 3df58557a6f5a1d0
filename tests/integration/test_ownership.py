"""Rooms and their owners in real Redis: who gets a room, who keeps it, and who has lost it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import count

import pytest
import redis
from prometheus_client import CollectorRegistry

from contracts.errors import BusUnavailable, LivesElsewhere
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.mix.loudness import LoudnessBin
from storage.event_log import event_json, parse_event
from tests.redis_server import RedisServer, poll, redis_servers
from workers.claims import Continued, Unattended
from workers.cluster import owner_keys
from workers.cluster.ownership import Ownership
from workers.guest_list import HostOrders
from workers.redis_bus import keys
from workers.redis_bus.links import open_links
from workers.take_memo import TakeMemo

pytestmark = pytest.mark.needs("redis-server")

TTL_MS = 600
HEADER = TakeHeader(1_769_889_600_000_000, TakeSettings(), "e" * 64)
_ROOMS = count()

Ingests = Callable[..., Awaitable[Ownership]]


@pytest.fixture(scope="module")
def both() -> Iterator[Sequence[RedisServer]]:
    """Two servers that have been running for longer than a claim lives."""
    with redis_servers(2) as servers:
        for server in servers:
            with server.client() as client:
                poll(partial(_runs_for_a_second, client), "it has been up for a second")
        yield servers


@pytest.fixture
def room() -> str:
    return f"room{next(_ROOMS)}"


@pytest.fixture
async def ingest() -> AsyncIterator[Ingests]:
    """Ingests with an Ownership each; they renew nothing before they are told to `start`."""
    async with AsyncExitStack() as stack:

        async def made(name: str, *servers: RedisServer, url: str = "") -> Ownership:
            links = open_links([server.url for server in servers], Metrics(CollectorRegistry()))
            stack.push_async_callback(links.close)
            ownership = Ownership(links, name, url or f"http://{name}", ttl_ms=TTL_MS)
            stack.push_async_callback(ownership.stop)
            return ownership

        yield made


def _runs_for_a_second(client: redis.Redis) -> bool:
    return bool(client.info("server")["uptime_in_seconds"] >= 1)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - another process is looked at
        await asyncio.sleep(0.01)


async def claimed(ownership: Ownership, room: str) -> Continued | None:
    """The claim of a room that its owner may still have to lose."""
    while True:
        try:
            return (await ownership.claim(room)).take
        except LivesElsewhere:
            await asyncio.sleep(0.02)


def put_take(server: RedisServer, key: TakeKey, memo: TakeMemo, top: int, *events: TakeEvent) -> None:
    """A take as its owner's writer leaves it in Redis."""
    with server.client() as client:
        fields = {**memo.to_fields(), b"top": str(top).encode()}
        client.hset(keys.take(key), mapping=fields)
        client.set(keys.live(key.room), key.take)
        client.sadd(keys.TAKES, keys.member(key))
        if events:
            client.rpush(keys.events(key), *map(event_json, events))


def generation_of(server: RedisServer, key: TakeKey) -> int:
    return int(server.command("HGET", keys.take(key), "gen"))


def owner_of(server: RedisServer, room: str) -> bytes | None:
    node: bytes | None = server.command("HGET", keys.owner(room), "node")
    return node


async def test_a_room_has_one_owner(both: Sequence[RedisServer], room: str, ingest: Ingests) -> None:
    a, b = await ingest("a", both[0]), await ingest("b", both[0])
    assert (await a.claim(room)).generation == 1
    assert a.owns(room)
    with pytest.raises(LivesElsewhere) as caught:
        await b.claim(room)
    assert caught.value.url == "http://a"
    assert not b.owns(room)
    assert await b.owner_of(room) == "http://a"
    assert await a.owner_of(room) is None
    assert await b.owner_of(f"{room}-free") is None
    nonsense = f"{room}-nonsense"
    both[0].command("SET", keys.owner(nonsense), "no hash")
    owners = {room: "http://a", f"{room}-free": None, f"{room}-b": None}
    await b.claim(f"{room}-b")
    assert await b.owners_of([*owners, nonsense]) == owners
    assert await b.owners_of([]) == {}


async def test_of_many_who_claim_at_once_one_gets_the_room(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    # Their links are in different orders, so that no single Redis decides at first.
    crowd = [await ingest(f"i{n}", *(both if n % 2 else both[::-1])) for n in range(6)]
    await asyncio.gather(*(each.claim(room) for each in crowd), return_exceptions=True)
    (winner,) = [each for each in crowd if each.owns(room)]
    name = winner._node.encode()
    assert [owner_of(server, room) for server in both] == [name, name]


async def test_a_claim_that_one_redis_refuses_is_undone_in_the_others(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a, b = await ingest("a", *both), await ingest("b", both[1])
    looks = await a._links.ask(lambda redis: redis.look(room))
    await b.claim(room)  # after `a` has looked
    assert not await a._links.claim(room, 1, [*looks], [*looks])
    assert [owner_of(server, room) for server in both] == [None, b"b"]


async def test_a_claim_that_is_renewed_holds_and_one_that_is_not_ends(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a, b = await ingest("a", both[0]), await ingest("b", both[0])
    other = f"{room}-renewed"
    await a.claim(other)
    a.start()
    dead = await ingest("dead", both[0])
    await dead.claim(room)
    await claimed(b, room)
    await asyncio.sleep(TTL_MS / 1000)
    with pytest.raises(LivesElsewhere):
        await b.claim(other)
    assert b.generation(room) == 2


async def test_whoever_continues_a_take_has_all_that_is_known_of_it_and_a_higher_generation(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    key = TakeKey(room, "20260131T200000Z-aaaaaa")
    orders = HostOrders(muted=frozenset({"Eve"}))
    memo = TakeMemo(HEADER, 4, named=True, orders=orders, loudness=(LoudnessBin(400, 3, 0.25),))
    # Told as they were noticed: the start of a voice is dated back.
    events = [TakeEvent(960, 0, "join", speakers=("Ada",)), TakeEvent(480, 0, "start", speakers=("Ada",))]
    put_take(both[0], key, memo, 48_000, *events)
    a = await ingest("a", both[0])
    claim = await a.claim(room)
    assert claim.generation == 5
    assert generation_of(both[0], key) == 5  # what its last owner still writes is refused
    assert claim.take == Continued(key, TakeMemo(HEADER, 5, True, orders, memo.loudness), 48_000, (*events,))


async def test_a_long_story_is_read_in_pieces_and_holds_nobody_up(
    both: Sequence[RedisServer], room: str, ingest: Ingests, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = TakeKey(room, "20260131T200000Z-aaaaaa")
    events = [TakeEvent(48_000, n, "chapter", title="x") for n in range(2 * owner_keys._EVENTS_AT_ONCE)]
    for length in (0, 1, owner_keys._EVENTS_AT_ONCE, 2 * owner_keys._EVENTS_AT_ONCE):
        both[0].command("DEL", keys.events(key))
        put_take(both[0], key, TakeMemo(HEADER, 1), 48_000, *events[:length])
        parsed_by: set[threading.Thread] = set()

        def parse(line: bytes, by: set[threading.Thread] = parsed_by) -> TakeEvent:
            by.add(threading.current_thread())
            return parse_event(line)

        monkeypatch.setattr(owner_keys, "parse_event", parse)
        found = await (await ingest("a", both[0])).recall(key)
        assert found is not None
        assert list(found.events) == events[:length]
        assert threading.current_thread() not in parsed_by


async def test_of_two_redis_the_one_that_has_more_counts(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    key = TakeKey(room, "20260131T200000Z-aaaaaa")
    chapter = TakeEvent(0, 0, "chapter", title="One")
    put_take(both[0], key, TakeMemo(HEADER, 4), 48_000)
    put_take(both[1], key, TakeMemo(HEADER, 6, named=True), 96_000, chapter)
    a = await ingest("a", *both)
    claim = await a.claim(room)
    assert claim.take == Continued(key, TakeMemo(HEADER, 7, named=True), 96_000, (chapter,))
    assert [generation_of(server, key) for server in both] == [7, 7]


@pytest.mark.parametrize("where", [0, 1])
@pytest.mark.parametrize("said", [True, False])
async def test_a_take_that_one_redis_knows_to_be_over_is_not_continued(
    both: Sequence[RedisServer], room: str, ingest: Ingests, where: int, said: bool
) -> None:
    key = TakeKey(room, "20260131T200000Z-aaaaaa")
    put_take(both[where], key, TakeMemo(HEADER, 4), 48_000)
    put_take(both[not where], key, TakeMemo(HEADER, 4, ended=48_000 if said else None), 48_000)
    if not said:
        both[not where].command("HSET", keys.take(key), "closed", 48_000)
    assert (await (await ingest("a", *both)).claim(room)).take is None


async def test_a_room_that_is_released_is_free_at_once(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a, b = await ingest("a", *both), await ingest("b", *both)
    await a.claim(room)
    await a.release(room)
    assert not a.owns(room)
    assert (await b.claim(room)).generation == 2
    await b.stop()  # as a process does that is told to go
    assert (await a.claim(room)).generation == 3


async def test_a_claim_is_above_what_redis_has_forgotten(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    assert (await (await ingest("a", *both)).claim(room, 7)).generation == 8


async def test_a_claim_that_fails_half_way_leaves_the_room_to_others(
    both: Sequence[RedisServer], room: str, ingest: Ingests, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = TakeKey(room, "20260131T200000Z-aaaaaa")
    put_take(both[0], key, TakeMemo(HEADER, 4), 48_000)
    a, b = await ingest("a", *both), await ingest("b", *both)

    async def fails(_: TakeKey) -> Continued | None:
        raise RuntimeError("ours")

    monkeypatch.setattr(a, "recall", fails)
    with pytest.raises(RuntimeError):
        await a.claim(room)
    assert not a.owns(room)
    claim = await b.claim(room)
    assert claim.take is not None


async def test_a_late_release_takes_nothing_from_a_newer_claim(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a = await ingest("a", both[0])
    await a.claim(room)
    await a.release(room)
    await a.claim(room)
    (server,) = a._links
    await server.release({room: 1})
    assert owner_of(both[0], room) == b"a"


async def test_an_ingest_that_starts_anew_has_its_rooms_at_once(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    await (await ingest("a1", both[0], url="http://a")).claim(room)
    again = await ingest("a2", both[0], url="http://a")
    assert (await again.claim(room)).generation == 2


async def test_two_living_ingests_with_one_url_do_not_take_each_others_rooms(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a, b = [await ingest(name, both[0], url="http://ingests") for name in ("a", "b")]
    await a.claim(room)
    b._namesake = lambda: "a"
    assert "--advertise" in (b.degraded or "")
    for wanted in (room, f"{room}-free"):
        with pytest.raises(BusUnavailable, match="ingest a is reached at http://ingests, too"):
            await b.claim(wanted)
    assert owner_of(both[0], room) == b"a"
    b._namesake = lambda: None  # it was what b was before
    await b.claim(room)


async def test_an_owner_that_was_frozen_finds_its_room_taken(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a, b = await ingest("a", *both), await ingest("b", *both)
    await a.claim(room)
    await claimed(b, room)
    a.note(TakeKey(room, "20260131T200000Z-aaaaaa"), TakeMemo(HEADER, 1))
    assert a.generation(room) == 1
    a.start()  # it thaws
    await until(lambda: not a.owns(room))
    assert a.generation(room) is None
    assert a.lost() == [room]
    assert a.lost() == []
    assert a.memo(TakeKey(room, "20260131T200000Z-aaaaaa")) is None
    assert [owner_of(server, room) for server in both] == [b"b", b"b"]


async def test_an_owner_that_was_frozen_for_long_does_not_take_its_room_back(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a, b = await ingest("a", both[0]), await ingest("b", both[0])
    await a.claim(room)
    await claimed(b, room)
    await b.release(room)
    a.start()
    await until(lambda: a.lost() == [room])
    assert (await (await ingest("c", both[0])).claim(room)).generation == 3


async def test_an_idle_ingest_knows_for_how_long_its_redis_has_been_there(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a = await ingest("a", both[0])
    a.start()
    await asyncio.sleep(2 * TTL_MS / 1000)
    await a.claim(room)


async def test_what_a_writer_hears_of_a_higher_generation_is_believed(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a = await ingest("a", both[0])
    await a.claim(room)
    a.deposed(room, 1)  # its own, or one of before
    assert a.owns(room)
    both[0].command("PERSIST", keys.owner(room))  # what it gives up does not end by itself here
    a.deposed(room, 2)
    assert not a.owns(room)
    assert a.lost() == [room]
    await until(lambda: owner_of(both[0], room) is None)


async def test_two_owners_that_could_not_see_each_other_become_one(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    a, b = await ingest("a", both[0]), await ingest("b", both[1])
    await a.claim(room)
    await b.claim(room)
    # Each sees what the other sees.
    a._links = (await ingest("a", *both))._links
    b._links = (await ingest("b", *both))._links
    a.start()
    b.start()
    await until(lambda: a.owns(room) != b.owns(room))
    assert b.owns(room)
    await until(lambda: [owner_of(server, room) for server in both] == [b"b", b"b"])
    await a.stop()
    await b.stop()


# ---- Redis that comes and goes -----------------------------------------------------------------------------


@pytest.fixture
def shaky() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def test_a_room_is_held_while_redis_is_gone_and_claimed_anew_in_one_that_is_empty(
    shaky: RedisServer, room: str, ingest: Ingests
) -> None:
    a = await ingest("a", shaky)
    with pytest.raises(BusUnavailable, match="only just back"):
        await a.claim(room)  # the server is younger than a claim lives: whoever owned it has not said so yet
    await claimed_once_reliable(a, room)
    a.start()
    shaky.kill()
    await asyncio.sleep(0.05)
    assert a.owns(room)
    with pytest.raises(BusUnavailable):
        await a.claim(f"{room}-new")
    with pytest.raises(BusUnavailable):
        await a.owner_of(f"{room}-new")
    shaky.start()
    await until(lambda: owner_of(shaky, room) == b"a")
    assert a.generation(room) == 1


async def claimed_once_reliable(ownership: Ownership, room: str) -> None:
    while True:
        try:
            await ownership.claim(room)
        except BusUnavailable:
            await asyncio.sleep(0.02)
        else:
            return


async def test_a_redis_that_was_gone_gives_no_room_away_until_its_owner_had_time_to_say_so(
    shaky: RedisServer, room: str, ingest: Ingests
) -> None:
    a, b = await ingest("a", shaky), await ingest("b", shaky)
    await claimed_once_reliable(a, room)
    await claimed_once_reliable(b, f"{room}-b")
    shaky.restart()
    # Nobody owns anything there now. `a` has not come round to say that it does.
    reason = ""
    while "only just back" not in reason:  # at first, the link finds that its connections are gone
        with pytest.raises(BusUnavailable) as caught:
            await b.claim(room)
        reason = caught.value.message
    a.start()
    await until(lambda: owner_of(shaky, room) == b"a")
    await asyncio.sleep(TTL_MS / 1000)
    with pytest.raises(LivesElsewhere):
        await b.claim(room)
    await b.claim(f"{room}-free")


async def test_one_of_two_redis_is_enough(
    both: Sequence[RedisServer], shaky: RedisServer, room: str, ingest: Ingests
) -> None:
    a = await ingest("a", both[0], shaky)
    shaky.kill()
    assert (await a.claim(room)).generation == 1
    shaky.start()
    a.start()
    await until(lambda: owner_of(shaky, room) == b"a")


# ---- takes that nobody attends to --------------------------------------------------------------------------


async def test_takes_of_rooms_without_an_owner_are_unattended_and_so_is_what_is_over(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    both[0].command("DEL", keys.TAKES)
    a = await ingest("a", both[0])
    left, held, over, gone = (TakeKey(f"{room}-{n}", "20260131T200000Z-aaaaaa") for n in range(4))
    for key in (left, held, over, gone):
        put_take(both[0], key, TakeMemo(HEADER, 1), 48_000)
    await a.claim(held.room)
    await a.claim(over.room)
    both[0].command("HSET", keys.take(over), "closed", 48_000)
    both[0].command("DEL", keys.take(gone))
    assert await a.unattended() == [Unattended(left, closed=False), Unattended(over, closed=True)]
    # Nothing is known of it but its name: nobody can do anything about it.
    assert keys.member(gone) not in both[0].command("SMEMBERS", keys.TAKES)
    found = await a.recall(over)
    assert found is not None
    assert found.over
    assert await a.recall(gone) is None


async def test_what_cannot_be_read_is_no_take(
    both: Sequence[RedisServer], room: str, ingest: Ingests
) -> None:
    key = TakeKey(room, "20260131T200000Z-aaaaaa")
    put_take(both[0], key, TakeMemo(HEADER, 1), 48_000)
    both[0].command("HSET", keys.take(key), "header", "{")
    claim = await (await ingest("a", both[0])).claim(room)
    assert claim.take is None
    assert claim.generation == 2
