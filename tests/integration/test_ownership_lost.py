"""Rooms and their owners in real Redis: who keeps a room, and who has lost it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from contracts.errors import BusUnavailable, LivesElsewhere
from contracts.take import TakeKey
from tests.owners import HEADER, TTL_MS, Ingests, claimed, owner_of
from tests.redis_server import RedisServer
from tests.waiting import until
from workers.cluster.ownership import Ownership
from workers.redis_bus import keys
from workers.take_memo import TakeMemo

pytestmark = pytest.mark.needs("redis-server")


async def test_an_ingest_that_starts_anew_has_its_rooms_at_once(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    await (await claiming_ingest("a1", settled_servers[0], url="http://a")).claim(unclaimed_room)
    again = await claiming_ingest("a2", settled_servers[0], url="http://a")
    assert (await again.claim(unclaimed_room)).generation == 2


async def test_two_living_ingests_with_one_url_do_not_take_each_others_rooms(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = [await claiming_ingest(name, settled_servers[0], url="http://ingests") for name in ("a", "b")]
    await a.claim(unclaimed_room)
    b._namesake = lambda: "a"
    assert "--advertise" in (b.degraded or "")
    for wanted in (unclaimed_room, f"{unclaimed_room}-free"):
        with pytest.raises(BusUnavailable, match="ingest a is reached at http://ingests, too"):
            await b.claim(wanted)
    assert owner_of(settled_servers[0], unclaimed_room) == b"a"
    b._namesake = lambda: None  # it was what b was before
    await b.claim(unclaimed_room)


async def test_an_owner_that_was_frozen_finds_its_room_taken(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = await claiming_ingest("a", *settled_servers), await claiming_ingest("b", *settled_servers)
    await a.claim(unclaimed_room)
    await claimed(b, unclaimed_room)
    a.note(TakeKey(unclaimed_room, "20260131T200000Z-aaaaaa"), TakeMemo(HEADER, 1))
    assert a.generation(unclaimed_room) == 1
    a.start()  # it thaws
    await until(lambda: not a.owns(unclaimed_room))
    assert a.generation(unclaimed_room) is None
    assert a.lost() == [unclaimed_room]
    assert a.lost() == []
    assert a.memo(TakeKey(unclaimed_room, "20260131T200000Z-aaaaaa")) is None
    assert [owner_of(server, unclaimed_room) for server in settled_servers] == [b"b", b"b"]


async def test_an_owner_that_was_frozen_for_long_does_not_take_its_room_back(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = await claiming_ingest("a", settled_servers[0]), await claiming_ingest("b", settled_servers[0])
    await a.claim(unclaimed_room)
    await claimed(b, unclaimed_room)
    await b.release(unclaimed_room)
    a.start()
    await until(lambda: a.lost() == [unclaimed_room])
    assert (await (await claiming_ingest("c", settled_servers[0])).claim(unclaimed_room)).generation == 3


async def test_an_idle_ingest_knows_for_how_long_its_redis_has_been_there(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a = await claiming_ingest("a", settled_servers[0])
    a.start()
    await asyncio.sleep(2 * TTL_MS / 1000)
    await a.claim(unclaimed_room)


async def test_what_a_writer_hears_of_a_higher_generation_is_believed(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a = await claiming_ingest("a", settled_servers[0])
    await a.claim(unclaimed_room)
    a.deposed(unclaimed_room, 1)  # its own, or one of before
    assert a.owns(unclaimed_room)
    # What it gives up does not end by itself here.
    settled_servers[0].command("PERSIST", keys.owner(unclaimed_room))
    a.deposed(unclaimed_room, 2)
    assert not a.owns(unclaimed_room)
    assert a.lost() == [unclaimed_room]
    await until(lambda: owner_of(settled_servers[0], unclaimed_room) is None)


async def test_two_owners_that_could_not_see_each_other_become_one(
    settled_servers: Sequence[RedisServer], unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = await claiming_ingest("a", settled_servers[0]), await claiming_ingest("b", settled_servers[1])
    await a.claim(unclaimed_room)
    await b.claim(unclaimed_room)
    # Each sees what the other sees.
    a._links = (await claiming_ingest("a", *settled_servers))._links
    b._links = (await claiming_ingest("b", *settled_servers))._links
    a.start()
    b.start()
    await until(lambda: a.owns(unclaimed_room) != b.owns(unclaimed_room))
    assert b.owns(unclaimed_room)
    await until(lambda: [owner_of(server, unclaimed_room) for server in settled_servers] == [b"b", b"b"])
    await a.stop()
    await b.stop()


# ---- Redis that comes and goes -----------------------------------------------------------------------------


@pytest.fixture
def shaky() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def test_a_room_is_held_while_redis_is_gone_and_claimed_anew_in_one_that_is_empty(
    shaky: RedisServer, unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a = await claiming_ingest("a", shaky)
    with pytest.raises(BusUnavailable, match="only just back"):
        # The server is younger than a claim lives: whoever owned it has not said so yet.
        await a.claim(unclaimed_room)
    await claimed_once_reliable(a, unclaimed_room)
    a.start()
    shaky.kill()
    await asyncio.sleep(0.05)
    assert a.owns(unclaimed_room)
    with pytest.raises(BusUnavailable):
        await a.claim(f"{unclaimed_room}-new")
    with pytest.raises(BusUnavailable):
        await a.owner_of(f"{unclaimed_room}-new")
    shaky.start()
    await until(lambda: owner_of(shaky, unclaimed_room) == b"a")
    assert a.generation(unclaimed_room) == 1


async def claimed_once_reliable(ownership: Ownership, room: str) -> None:
    while True:
        try:
            await ownership.claim(room)
        except BusUnavailable:
            await asyncio.sleep(0.02)
        else:
            return


async def test_a_redis_that_was_gone_gives_no_room_away_until_its_owner_had_time_to_say_so(
    shaky: RedisServer, unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a, b = await claiming_ingest("a", shaky), await claiming_ingest("b", shaky)
    await claimed_once_reliable(a, unclaimed_room)
    await claimed_once_reliable(b, f"{unclaimed_room}-b")
    shaky.restart()
    # Nobody owns anything there now. `a` has not come round to say that it does.
    reason = ""
    while "only just back" not in reason:  # at first, the link finds that its connections are gone
        with pytest.raises(BusUnavailable) as caught:
            await b.claim(unclaimed_room)
        reason = caught.value.message
    a.start()
    await until(lambda: owner_of(shaky, unclaimed_room) == b"a")
    await asyncio.sleep(TTL_MS / 1000)
    with pytest.raises(LivesElsewhere):
        await b.claim(unclaimed_room)
    await b.claim(f"{unclaimed_room}-free")


async def test_one_of_two_redis_is_enough(
    settled_servers: Sequence[RedisServer], shaky: RedisServer, unclaimed_room: str, claiming_ingest: Ingests
) -> None:
    a = await claiming_ingest("a", settled_servers[0], shaky)
    shaky.kill()
    assert (await a.claim(unclaimed_room)).generation == 1
    shaky.start()
    a.start()
    await until(lambda: owner_of(shaky, unclaimed_room) == b"a")
