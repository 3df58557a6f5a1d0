"""The scripts that Redis runs: what they refuse, and that a refusal leaves everything as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from contracts.errors import BusUnavailable
from contracts.take import TakeEvent, TakeKey
from tests.bus_writing import new_key, new_metrics, pcm, stream
from tests.redis_server import RedisServer
from tests.takes import header
from workers.redis_bus import keys
from workers.redis_bus.entries import Ended, Entry, Happened, Silence, Sound
from workers.redis_bus.links import RedisLink, open_links
from workers.redis_bus.round_trip import RoundTrip
from workers.redis_bus.take_cursor import HELD, Answer, Batch
from workers.take_memo import TakeMemo

pytestmark = pytest.mark.needs("redis-server")

_JOIN = TakeEvent(0, 0, "join", speakers=("a",))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
async def link(server: RedisServer) -> AsyncIterator[RedisLink]:
    links = open_links([server.url], new_metrics())
    yield links[0]
    await links.close()


@pytest.fixture
async def key(link: RedisLink) -> TakeKey:
    """A take with 4800 samples and an event, written by generation 3."""
    key = new_key()
    assert (await _assert(link, key)).top == -1
    answer = await _append(link, key, 0, 0, Sound(0, 4800, pcm(0, 4800)), Happened(_JOIN))
    assert answer == (b"done", 4800, 1, 3, 0, 0)
    return key


async def _sent(trip: RoundTrip) -> Answer:
    ((_, answer),) = await trip.send()
    assert not isinstance(answer, BusUnavailable)
    return answer


async def _assert(link: RedisLink, key: TakeKey, generation: int = 3, *, alive: bool = True) -> Answer:
    while True:
        trip = RoundTrip(link)
        trip.assert_take(key, generation, TakeMemo(header(), generation), alive=alive)
        answer = await _sent(trip)
        if answer.outcome != b"unknown":  # the scripts were not loaded
            return answer


async def _append(
    link: RedisLink, key: TakeKey, start: int, events: int, *entries: Entry, generation: int = 3
) -> Answer:
    trip = RoundTrip(link)
    stops = [entry.stop for entry in entries if isinstance(entry, Sound | Silence)]
    trip.append(key, generation, Batch(start, events, entries, max(stops, default=start)))
    return await _sent(trip)


def _everything(server: RedisServer, key: TakeKey) -> tuple[object, ...]:
    with server.client() as client:
        return (
            client.xrange(keys.pcm(key)),
            client.hgetall(keys.take(key)),
            client.lrange(keys.events(key), 0, -1),
            client.get(keys.live(key.room)),
        )


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ((9600, 1, 3), b"elsewhere"),
        ((2400, 1, 3), b"elsewhere"),
        ((4800, 0, 3), b"elsewhere"),
        ((4800, 2, 3), b"elsewhere"),
        ((4800, 1, 2), b"generation"),
        ((4800, 1, 4), b"unknown"),
    ],
    ids=["a hole", "twice", "events twice", "events missing", "an older owner", "a newer owner"],
)
async def test_what_does_not_follow_is_refused_with_where_to_go_on(
    server: RedisServer, link: RedisLink, key: TakeKey, said: tuple[int, int, int], outcome: bytes
) -> None:
    start, events, generation = said
    before = _everything(server, key)
    sound = Sound(start, 12_000, pcm(start, 12_000))
    answer = await _append(link, key, start, events, sound, Happened(_JOIN), generation=generation)
    assert (answer.outcome, answer.top, answer.events, answer.generation) == (outcome, 4800, 1, 3)
    assert _everything(server, key) == before


async def test_nothing_is_appended_to_a_take_that_nobody_asserted(
    server: RedisServer, link: RedisLink
) -> None:
    key = new_key()
    await _assert(link, new_key())
    assert (await _append(link, key, 0, 0, Silence(0, 960))).outcome == b"unknown"
    assert not server.command("EXISTS", keys.pcm(key), keys.take(key))


async def test_a_newer_owner_takes_over_and_the_older_one_changes_nothing_any_more(
    server: RedisServer, link: RedisLink, key: TakeKey
) -> None:
    assert await _assert(link, key, 4) == (b"done", 4800, 1, 4, 0, 0)
    before = _everything(server, key)
    assert (await _assert(link, key, 3)).outcome == b"generation"
    assert (await _append(link, key, 4800, 1, Silence(4800, 9600))).outcome == b"generation"
    assert _everything(server, key) == before
    answer = await _append(link, key, 4800, 1, Silence(4800, 9600), generation=4)
    assert (answer.outcome, answer.top) == (b"done", 9600)


async def test_who_lost_the_room_begins_no_other_take_in_it(
    server: RedisServer, link: RedisLink, key: TakeKey
) -> None:
    server.command("SET", keys.generation(key.room), 4)
    before = _everything(server, key)
    of_before, begun = key, TakeKey(key.room, new_key().take)
    for take in (of_before, begun):
        answer = await _assert(link, take)
        assert (answer.outcome, answer.generation) == (b"generation", 4)
        assert (await _append(link, take, 4800, 1, Silence(4800, 9600))).outcome == b"generation"
    assert _everything(server, key) == before
    assert not server.command("EXISTS", keys.take(begun), keys.pcm(begun))
    assert (await _assert(link, begun, 4)).outcome == b"done"


async def test_the_end_stands_in_the_stream_once(server: RedisServer, link: RedisLink, key: TakeKey) -> None:
    for _ in range(2):
        assert (await _append(link, key, 4800, 1, Ended(4800))).outcome == b"done"
    found = stream(server, key)
    assert found.ended == [4800]
    assert [entry_id for entry_id, _ in found.entries] == ["4800-0", "4800-1", "4800-2"]
    assert (await _assert(link, key)).closed


async def test_an_end_leaves_the_next_take_of_the_room_alone(
    server: RedisServer, link: RedisLink, key: TakeKey
) -> None:
    following = TakeKey(key.room, new_key().take)
    await _assert(link, following)
    await _assert(link, key, alive=False)
    assert server.command("GET", keys.live(key.room)) == following.take.encode()


async def test_a_stream_forgets_what_is_older_than_a_minute(
    server: RedisServer, link: RedisLink, key: TakeKey
) -> None:
    top = 4800
    while top < HELD + 480_000:
        await _append(link, key, top, 1, Sound(top, top + 48_000, pcm(top, top + 48_000)))
        top += 48_000
    spans = stream(server, key).spans
    assert spans[-1].stop == top
    assert spans[0].stop >= top - HELD > spans[0].start - 48_000


async def test_a_script_that_meets_a_full_memory_has_done_nothing(
    server: RedisServer, link: RedisLink, key: TakeKey
) -> None:
    before = _everything(server, key)
    server.command("CONFIG", "SET", "maxmemory", "1")
    try:
        trip = RoundTrip(link)
        entries = (Happened(_JOIN), Sound(4800, 9600, pcm(4800, 9600)), Ended(9600))
        trip.append(key, 3, Batch(4800, 1, entries, 9600))
        ((_, answer),) = await trip.send()
    finally:
        server.command("CONFIG", "SET", "maxmemory", "0")
    assert isinstance(answer, BusUnavailable)
    assert _everything(server, key) == before
