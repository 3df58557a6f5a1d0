"""Rooms and their owners in real Redis: who gets a room, and with what."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from contracts.errors import LivesElsewhere
from contracts.take import TakeEvent, TakeKey
from pipeline.mix.loudness import LoudnessBin
from storage.event_log import parse_event
from tests.owners import HEADER, TTL_MS, Ingests, claimed, generation_of, owner_of, put_take
from tests.redis_server import RedisServer
from workers.claims import Continued, Unattended
from workers.cluster import owner_keys
from workers.guest_list import HostOrders
from workers.redis_bus import keys
from workers.take_memo import TakeMemo

pytestmark = pytest.mark.needs("redis-server")


async def test_a_room_has_one_owner(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = await claiming_ingest("a", settled_servers[0]), await claiming_ingest("b", settled_servers[0])
    assert (await a.claim(unclaimed_room)).generation == 1
    assert a.owns(unclaimed_room)
    with pytest.raises(LivesElsewhere) as caught:
        await b.claim(unclaimed_room)
    assert caught.value.url == "http://a"
    assert not b.owns(unclaimed_room)
    assert await b.owner_of(unclaimed_room) == "http://a"
    assert await a.owner_of(unclaimed_room) is None
    assert await b.owner_of(f"{unclaimed_room}-free") is None
    nonsense = f"{unclaimed_room}-nonsense"
    settled_servers[0].command("SET", keys.owner(nonsense), "no hash")
    owners = {unclaimed_room: "http://a", f"{unclaimed_room}-free": None, f"{unclaimed_room}-b": None}
    await b.claim(f"{unclaimed_room}-b")
    assert await b.owners_of([*owners, nonsense]) == owners
    assert await b.owners_of([]) == {}


async def test_of_many_who_claim_at_once_one_gets_the_room(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    # Their links are in different orders, so that no single Redis decides at first.
    crowd = [
        await claiming_ingest(f"i{n}", *(settled_servers if n % 2 else settled_servers[::-1]))
        for n in range(6)
    ]
    for each in crowd:
        # Else its claim may be over before it is looked at, on a busy machine.
        each.start()
    await asyncio.gather(*(each.claim(unclaimed_room) for each in crowd), return_exceptions=True)
    (winner,) = [each for each in crowd if each.owns(unclaimed_room)]
    name = winner._node.encode()
    assert [owner_of(server, unclaimed_room) for server in settled_servers] == [name, name]


async def test_a_claim_that_one_redis_refuses_is_undone_in_the_others(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = await claiming_ingest("a", *settled_servers), await claiming_ingest("b", settled_servers[1])
    looks = await a._links.ask(lambda redis: redis.look(unclaimed_room))
    await b.claim(unclaimed_room)  # after `a` has looked
    assert not await a._links.claim(unclaimed_room, 1, [*looks], [*looks])
    assert [owner_of(server, unclaimed_room) for server in settled_servers] == [None, b"b"]


async def test_a_claim_that_is_renewed_holds_and_one_that_is_not_ends(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = await claiming_ingest("a", settled_servers[0]), await claiming_ingest("b", settled_servers[0])
    other = f"{unclaimed_room}-renewed"
    await a.claim(other)
    a.start()
    dead = await claiming_ingest("dead", settled_servers[0])
    await dead.claim(unclaimed_room)
    await claimed(b, unclaimed_room)
    await asyncio.sleep(TTL_MS / 1000)
    with pytest.raises(LivesElsewhere):
        await b.claim(other)
    assert b.generation(unclaimed_room) == 2


async def test_whoever_continues_a_take_has_all_that_is_known_of_it_and_a_higher_generation(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    key = TakeKey(unclaimed_room, "20260131T200000Z-aaaaaa")
    orders = HostOrders(muted=frozenset({"Eve"}))
    memo = TakeMemo(HEADER, 4, named=True, orders=orders, loudness=(LoudnessBin(400, 3, 0.25),))
    # Told as they were noticed: the start of a voice is dated back.
    events = [TakeEvent(960, 0, "join", speakers=("Ada",)), TakeEvent(480, 0, "start", speakers=("Ada",))]
    put_take(settled_servers[0], key, memo, 48_000, *events)
    a = await claiming_ingest("a", settled_servers[0])
    claim = await a.claim(unclaimed_room)
    assert claim.generation == 5
    assert generation_of(settled_servers[0], key) == 5  # what its last owner still writes is refused
    assert claim.take == Continued(key, TakeMemo(HEADER, 5, True, orders, memo.loudness), 48_000, (*events,))


async def test_a_long_story_is_read_in_pieces_and_holds_nobody_up(
    settled_servers: Sequence[RedisServer],
    unclaimed_room: str,
    claiming_ingest: Ingests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = TakeKey(unclaimed_room, "20260131T200000Z-aaaaaa")
    events = [TakeEvent(48_000, n, "chapter", title="x") for n in range(2 * owner_keys._EVENTS_AT_ONCE)]
    for length in (0, 1, owner_keys._EVENTS_AT_ONCE, 2 * owner_keys._EVENTS_AT_ONCE):
        settled_servers[0].command("DEL", keys.events(key))
        put_take(settled_servers[0], key, TakeMemo(HEADER, 1), 48_000, *events[:length])
        parsed_by: set[threading.Thread] = set()

        def parse(line: bytes, by: set[threading.Thread] = parsed_by) -> TakeEvent:
            by.add(threading.current_thread())
            return parse_event(line)

        monkeypatch.setattr(owner_keys, "parse_event", parse)
        found = await (await claiming_ingest("a", settled_servers[0])).recall(key)
        assert found is not None
        assert list(found.events) == events[:length]
        assert threading.current_thread() not in parsed_by


async def test_of_two_redis_the_one_that_has_more_counts(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    key = TakeKey(unclaimed_room, "20260131T200000Z-aaaaaa")
    chapter = TakeEvent(0, 0, "chapter", title="One")
    put_take(settled_servers[0], key, TakeMemo(HEADER, 4), 48_000)
    put_take(settled_servers[1], key, TakeMemo(HEADER, 6, named=True), 96_000, chapter)
    a = await claiming_ingest("a", *settled_servers)
    claim = await a.claim(unclaimed_room)
    assert claim.take == Continued(key, TakeMemo(HEADER, 7, named=True), 96_000, (chapter,))
    assert [generation_of(server, key) for server in settled_servers] == [7, 7]


@pytest.mark.parametrize("where", [0, 1])
@pytest.mark.parametrize("said", [True, False])
async def test_a_take_that_one_redis_knows_to_be_over_is_not_continued(
    settled_servers: Sequence[RedisServer],
    unclaimed_room: str,
    claiming_ingest: Ingests,
    where: int,
    said: bool,
) -> None:
    key = TakeKey(unclaimed_room, "20260131T200000Z-aaaaaa")
    put_take(settled_servers[where], key, TakeMemo(HEADER, 4), 48_000)
    put_take(settled_servers[not where], key, TakeMemo(HEADER, 4, ended=48_000 if said else None), 48_000)
    if not said:
        settled_servers[not where].command("HSET", keys.take(key), "closed", 48_000)
    assert (await (await claiming_ingest("a", *settled_servers)).claim(unclaimed_room)).take is None


async def test_a_room_that_is_released_is_free_at_once(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = await claiming_ingest("a", *settled_servers), await claiming_ingest("b", *settled_servers)
    await a.claim(unclaimed_room)
    await a.release(unclaimed_room)
    assert not a.owns(unclaimed_room)
    assert (await b.claim(unclaimed_room)).generation == 2
    await b.stop()  # as a process does that is told to go
    assert (await a.claim(unclaimed_room)).generation == 3


async def test_a_claim_is_above_what_redis_has_forgotten(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    assert (await (await claiming_ingest("a", *settled_servers)).claim(unclaimed_room, 7)).generation == 8


async def test_a_claim_that_fails_half_way_leaves_the_room_to_others(
    settled_servers: Sequence[RedisServer],
    unclaimed_room: str,
    claiming_ingest: Ingests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = TakeKey(unclaimed_room, "20260131T200000Z-aaaaaa")
    put_take(settled_servers[0], key, TakeMemo(HEADER, 4), 48_000)
    a, b = await claiming_ingest("a", *settled_servers), await claiming_ingest("b", *settled_servers)

    async def fails(_: TakeKey) -> Continued | None:
        raise RuntimeError("ours")

    monkeypatch.setattr(a, "recall", fails)
    with pytest.raises(RuntimeError):
        await a.claim(unclaimed_room)
    assert not a.owns(unclaimed_room)
    claim = await b.claim(unclaimed_room)
    assert claim.take is not None


async def test_a_late_release_takes_nothing_from_a_newer_claim(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a = await claiming_ingest("a", settled_servers[0])
    await a.claim(unclaimed_room)
    await a.release(unclaimed_room)
    await a.claim(unclaimed_room)
    (server,) = a._links
    await server.release({unclaimed_room: 1})
    assert owner_of(settled_servers[0], unclaimed_room) == b"a"


# ---- takes that nobody attends to --------------------------------------------------------------------------


async def test_takes_of_rooms_without_an_owner_are_unattended_and_so_is_what_is_over(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    settled_servers[0].command("DEL", keys.TAKES)
    a = await claiming_ingest("a", settled_servers[0])
    left, held, over, gone = (TakeKey(f"{unclaimed_room}-{n}", "20260131T200000Z-aaaaaa") for n in range(4))
    for key in (left, held, over, gone):
        put_take(settled_servers[0], key, TakeMemo(HEADER, 1), 48_000)
    await a.claim(held.room)
    await a.claim(over.room)
    settled_servers[0].command("HSET", keys.take(over), "closed", 48_000)
    settled_servers[0].command("DEL", keys.take(gone))
    assert await a.unattended() == [Unattended(left, closed=False), Unattended(over, closed=True)]
    # Nothing is known of it but its name: nobody can do anything about it.
    assert keys.member(gone) not in settled_servers[0].command("SMEMBERS", keys.TAKES)
    found = await a.recall(over)
    assert found is not None
    assert found.over
    assert await a.recall(gone) is None


async def test_what_cannot_be_read_is_no_take(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    key = TakeKey(unclaimed_room, "20260131T200000Z-aaaaaa")
    put_take(settled_servers[0], key, TakeMemo(HEADER, 1), 48_000)
    settled_servers[0].command("HSET", keys.take(key), "header", "{")
    claim = await (await claiming_ingest("a", settled_servers[0])).claim(unclaimed_room)
    assert claim.take is None
    assert claim.generation == 2
