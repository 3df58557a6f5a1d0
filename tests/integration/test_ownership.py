"""Rooms and their owners in real Redis: who gets a room, and with what."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from contracts.errors import LivesElsewhere
from contracts.take import TakeEvent, TakeKey
from pipeline.mix.loudness import LoudnessBin
from storage.event_log import parse_event
from tests.owners import (
    HEADER,
    TTL_MS,
    Ingests,
    claimed,
    generation_of,
    ingests,
    new_room,
    owner_of,
    put_take,
    two_servers,
)
from tests.redis_server import RedisServer
from workers.claims import Continued, Unattended
from workers.cluster import owner_keys
from workers.guest_list import HostOrders
from workers.redis_bus import keys
from workers.take_memo import TakeMemo

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def both() -> Iterator[Sequence[RedisServer]]:
    with two_servers() as servers:
        yield servers


@pytest.fixture
def room() -> str:
    return new_room()


@pytest.fixture
async def ingest() -> AsyncIterator[Ingests]:
    async with ingests() as made:
        yield made


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
    for each in crowd:
        # Else its claim may be over before it is looked at, on a busy machine.
        each.start()
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
