"""Rooms and their owners in real Redis: who keeps a room, and who has lost it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from contracts.errors import BusUnavailable, LivesElsewhere
from contracts.take import TakeKey
from tests.owners import HEADER, TTL_MS, Ingests, claimed, ingests, new_room, owner_of, two_servers
from tests.redis_server import RedisServer
from tests.waiting import until
from workers.cluster.ownership import Ownership
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
