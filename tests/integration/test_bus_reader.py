"""What readers bring from real Redis servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from structlog.testing import capture_logs

from contracts.take import TakeEvent
from storage.event_log import event_json
from tests.bus_reading import HEADER, RUN, SECOND, Worker, add, new_key, read_all, reading, right, write
from tests.redis_server import RedisServer
from tests.waiting import until
from workers.redis_bus import keys

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture
async def worker(servers: Sequence[RedisServer]) -> AsyncIterator[Worker]:
    async with reading(servers[0]) as made:
        yield made


async def test_sound_silence_events_and_the_end_arrive_as_they_were_written(
    servers: Sequence[RedisServer], worker: Worker
) -> None:
    mirror, server = worker.take(), servers[0]
    chapter = TakeEvent(2 * RUN, 0, "chapter", title="Hälfte")
    write(server, mirror.key, 0, 2 * RUN)
    add(server, mirror.key, f"{2 * RUN}-1", kind="event", event=event_json(chapter))
    await until(lambda: bool(mirror.events_from(0)))
    add(server, mirror.key, f"{3 * RUN}-0", kind="silence", start=2 * RUN)
    write(server, mirror.key, 3 * RUN, 4 * RUN)
    add(server, mirror.key, f"{4 * RUN}-1", kind="end", start=4 * RUN)
    await until(lambda: mirror.ended is not None)
    assert (mirror.ended, mirror.first) == (4 * RUN, 0)
    assert right(mirror, 0, 2 * RUN)
    assert not mirror.read(2 * RUN, 3 * RUN).any()
    assert right(mirror, 3 * RUN, 4 * RUN)
    assert mirror.events_from(0) == (chapter,)


async def test_a_backlog_is_read_from_the_sample_that_is_needed_and_never_further_than_it_is_used(
    servers: Sequence[RedisServer], worker: Worker
) -> None:
    key = new_key()
    write(servers[0], key, 0, 60 * SECOND)
    first = 12 * SECOND + 1024
    mirror = worker.mirrors.follow(key, HEADER, first)
    await until(lambda: mirror.full)
    assert not mirror.at_edge
    assert mirror.first == first
    assert mirror.top - first < 6 * SECOND
    await read_all(mirror, 60 * SECOND)
    await until(lambda: mirror.at_edge)
    # 480 entries of 100 ms, in rounds of 32.
    assert worker.round_trips() < 100


async def test_what_lasts_from_before_the_first_sample_is_known(
    servers: Sequence[RedisServer], worker: Worker
) -> None:
    key = new_key()
    old, new = (TakeEvent(at, 0, "chapter", title=str(at)) for at in (100, 200))
    with servers[0].client() as client:
        client.rpush(keys.events(key), event_json(old), b"nonsense", event_json(new))
    mirror = worker.mirrors.follow(key, HEADER, SECOND)
    await until(lambda: bool(mirror.events_from(0)))
    assert mirror.events_from(0) == (new,)


async def test_what_makes_no_sense_is_skipped_and_told_once(
    servers: Sequence[RedisServer], worker: Worker
) -> None:
    mirror, server = worker.take(), servers[0]
    with capture_logs() as lines:
        add(server, mirror.key, "1-0", kind="hologram", start=0)
        add(server, mirror.key, "2-0", nothing="")
        add(server, mirror.key, "3-0", kind="pcm", start=0, pcm=b"odd")
        add(server, mirror.key, "4-0", kind="pcm", start=0, pcm=b"too much of it")
        write(server, mirror.key, 0, RUN)
        await until(lambda: mirror.top == RUN)
    assert right(mirror, 0, RUN)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "an entry on the bus makes no sense"
    ]


async def test_a_key_that_is_no_stream_keeps_no_other_take_from_being_read(
    servers: Sequence[RedisServer], worker: Worker
) -> None:
    good, bad, server, reader = worker.take(), worker.take(), servers[0], worker.readers[0]
    write(server, good.key, 0, RUN)
    write(server, bad.key, 0, RUN)
    await until(lambda: good.top == bad.top == RUN)
    server.command("DEL", keys.pcm(bad.key))
    server.command("SET", keys.pcm(bad.key), "garbage")
    with capture_logs() as lines:
        write(server, good.key, RUN, 3 * RUN)
        await until(lambda: good.top == 3 * RUN)
        await until(lambda: bad.key.room in (reader.degraded or ""))
        write(server, good.key, 3 * RUN, 4 * RUN)
        await until(lambda: good.top == 4 * RUN)
    assert len([line for line in lines if line["log_level"] == "error"]) == 1
    assert worker.links[0].up
    server.command("DEL", keys.pcm(bad.key))
    write(server, bad.key, RUN, 2 * RUN)
    await until(lambda: bad.top == 2 * RUN)
    assert reader.degraded is None


async def test_changes_that_are_no_stream_keep_no_take_from_being_read(
    killable_bus: tuple[RedisServer, Worker],
) -> None:
    server, worker = killable_bus
    mirror, reader = worker.take(), worker.readers[0]
    server.command("SET", keys.CHANGES, "garbage")
    write(server, mirror.key, 0, RUN)
    await until(lambda: mirror.top == RUN)
    await until(lambda: "lw:changes" in (reader.degraded or ""))
    worker.mirrors.drop(mirror.key)
    await until(lambda: not reader._feeds)
    server.command("DEL", keys.CHANGES)
    seen = reader.changes.version
    server.command("XADD", keys.CHANGES, "*", "node", "a")
    await asyncio.wait_for(reader.changes.changed(seen), 10)
    assert reader.degraded is None


async def test_nothing_in_one_take_stops_the_others(servers: Sequence[RedisServer], worker: Worker) -> None:
    good, bad, server = worker.take(), worker.take(), servers[0]
    add(server, bad.key, "1-1", kind="event", event="[" * 100_000)
    add(server, bad.key, "2-0", kind="silence", start=0, gen="9" * 400)
    add(server, bad.key, f"{2**60}-0", kind="silence", start=0)
    add(server, bad.key, f"{2**60}-1", kind="end", start=0)
    write(server, good.key, 0, RUN)
    await until(lambda: good.top == RUN)
    await until(lambda: worker.readers[0]._feeds[bad].last == (2**60, 1))
    write(server, good.key, RUN, 2 * RUN)
    await until(lambda: good.top == 2 * RUN)
    assert (bad.top, bad.ended) == (0, None)


async def test_an_unexpected_error_in_one_take_stops_no_other(
    servers: Sequence[RedisServer], worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, server = worker.take(), worker.take(), servers[0]

    def broken(*_: object) -> bool:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(bad, "take_in", broken)
    monkeypatch.setattr(bad, "settle", broken)
    for start in range(0, 4 * RUN, RUN):
        write(server, bad.key, start, start + RUN)
        write(server, good.key, start, start + RUN)
        await until(lambda start=start: good.top == start + RUN)  # type: ignore[misc]
    assert worker.links[0].up


async def test_a_stream_that_was_trimmed_is_gone_on_with_where_it_begins(
    servers: Sequence[RedisServer], worker: Worker
) -> None:
    key = new_key()
    write(servers[0], key, 10 * SECOND, 11 * SECOND)
    mirror = worker.mirrors.follow(key, HEADER, 0)
    await until(lambda: mirror.top == 11 * SECOND)
    assert mirror.first == 10 * SECOND


async def test_all_takes_are_read_in_one_round_trip_and_those_are_few(
    servers: Sequence[RedisServer], worker: Worker
) -> None:
    mirrors = [worker.take() for _ in range(50)]
    await until(lambda: all(mirror.at_edge for mirror in mirrors))
    before = worker.round_trips()
    for start in range(0, SECOND, RUN):
        for mirror in mirrors:
            write(servers[0], mirror.key, start, start + RUN)
        await until(lambda start=start: all(mirror.top == start + RUN for mirror in mirrors))  # type: ignore[misc]
    assert worker.round_trips() - before < 50 * 10
    assert worker.round_trips(kind="read") == 1
    for mirror in mirrors:
        assert right(mirror, 0, SECOND)


async def test_takes_that_nobody_carries_are_not_read(servers: Sequence[RedisServer], worker: Worker) -> None:
    mirror = worker.take()
    write(servers[0], mirror.key, 0, RUN)
    await until(lambda: mirror.top == RUN)
    worker.mirrors.drop(mirror.key)
    other = worker.take()
    # What is under way may still be about both.
    write(servers[0], other.key, 0, RUN)
    await until(lambda: other.top == RUN)
    write(servers[0], mirror.key, RUN, 2 * RUN)
    write(servers[0], other.key, RUN, 2 * RUN)
    await until(lambda: other.top == 2 * RUN)
    assert mirror.top == RUN


async def test_changes_are_news_also_for_whoever_comes_later(servers: Sequence[RedisServer]) -> None:
    server, made = servers[0], Worker()
    server.command("XADD", keys.CHANGES, "*", "node", "a")
    made.start(server)
    try:
        changes = made.readers[0].changes
        seen = await asyncio.wait_for(changes.changed(0), 10)
        server.command("XADD", keys.CHANGES, "*", "node", "b")
        await asyncio.wait_for(changes.changed(seen), 10)
    finally:
        await made.stop()
