"""The publisher against real windows behind good and bad lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import MalformedMedia
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeEvent, TakeKey
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from pipeline.window.events import MAX_EVENTS
from tests import takes
from tests.publishing import KEY, BadLine, MemoryOrigin, encoded
from tests.waiting import until
from workers.origin_client import OriginClient
from workers.publisher import Publisher

Publishing = Callable[..., Publisher]
GRID = Grid(5)
HEADER = takes.header()
LENGTH = 6 * 96_000 + 30_000
BEGIN = Position(0, 0)
LAST = GRID.end_of(LENGTH)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
async def publishing(metrics: Metrics) -> AsyncIterator[Publishing]:
    made: list[Publisher] = []

    def make(*origins: OriginClient, window: int = 450) -> Publisher:
        made.append(Publisher(origins, metrics, window_segments=window))
        return made[-1]

    yield make
    for publisher in made:
        await publisher.stop(grace=0)


async def play(publisher: Publisher, stop: Position = LAST, start: Position = BEGIN) -> None:
    """Put parts into the log one at a time, as they come."""
    log = publisher.open(KEY, HEADER, start.msn)
    for part in encoded(start, stop):
        log.append([part])
        await asyncio.sleep(0)


def everything(stop: Position = LAST) -> list[tuple[str, Position]]:
    return [("64k", position) for position in takes.positions(GRID, Position(0, 0), stop)]


async def test_a_part_is_with_an_origin_in_process_within_two_turns_of_the_loop(
    publishing: Publishing,
) -> None:
    origin = MemoryOrigin()
    log = publishing(origin).open(KEY, HEADER, 0)
    log.append(encoded((0, 0), (0, 1)))
    await until(lambda: origin.reached() == Position(0, 1))
    log.append(encoded((0, 1), (0, 2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert origin.reached() == Position(0, 2)


async def test_take_json_and_inits_come_before_media_and_the_end_comes_last(publishing: Publishing) -> None:
    origin = MemoryOrigin()
    publisher = publishing(origin)
    await play(publisher, Position(0, 2))
    publisher.finish(KEY, 30_000)
    await publisher.delivered(KEY)
    assert origin.requests == ["take.json", "64k/init.mp4", "64k/0.0.m4s", "64k/0.1.m4s", "end"]
    assert origin.ended() == 30_000


@pytest.mark.parametrize("seed", range(4))
async def test_every_part_arrives_once_and_in_order_over_a_line_that_fails(
    publishing: Publishing, seed: int
) -> None:
    good, bad = MemoryOrigin("good"), BadLine(seed, trouble=0.15, delay=0.004)
    publisher = publishing(good, bad)
    await play(publisher)
    publisher.finish(KEY, LENGTH)
    await until(lambda: bad.ended() == LENGTH)
    assert good.released == bad.released == everything()
    assert bad.media() == good.media()


@pytest.mark.parametrize("seed", range(2))
async def test_an_origin_that_keeps_restarting_empty_ends_with_the_same_bytes(
    publishing: Publishing, seed: int, metrics: Metrics
) -> None:
    good, bad = MemoryOrigin("good"), BadLine(seed, restarts=0.08)
    publisher = publishing(good, bad)
    await play(publisher)
    publisher.finish(KEY, LENGTH)
    await until(lambda: bad.ended() == LENGTH)
    assert bad.media() == good.media()
    assert bad.released == everything()
    conflicts = metrics.registry.get_sample_value("longwave_publish_conflicts_total", {"origin": bad.name})
    assert not conflicts


async def test_an_origin_that_started_empty_is_filled_with_whole_segments_before_parts(
    publishing: Publishing,
) -> None:
    origin = MemoryOrigin()
    publisher = publishing(origin)
    await play(publisher, Position(3, 2))
    await until(lambda: origin.reached() == Position(3, 2))
    origin.restart()
    origin.requests.clear()
    await play(publisher, Position(3, 3), Position(3, 2))
    await until(lambda: origin.reached() == Position(3, 3))
    assert [request for request in origin.requests if "m4s" in request] == [
        "64k/3.2.m4s",  # refused: the take is not known
        *(f"64k/{msn}.m4s" for msn in range(3)),
        *(f"64k/3.{part}.m4s" for part in range(3)),
    ]


@pytest.mark.parametrize("fault", ["down", "hangs"])
async def test_a_dead_origin_holds_up_neither_the_others_nor_the_end(
    publishing: Publishing, fault: str
) -> None:
    good, bad = MemoryOrigin("good"), BadLine()
    setattr(bad, fault, True)
    publisher = publishing(good, bad)
    await play(publisher)
    assert good.released == everything()[: len(good.released)]
    publisher.finish(KEY, LENGTH)
    await until(lambda: good.ended() == LENGTH)


async def test_the_end_counts_as_delivered_without_an_origin_out_of_reach_which_gets_it_later(
    publishing: Publishing,
) -> None:
    good, bad = MemoryOrigin("good"), BadLine()
    bad.down = True
    publisher = publishing(good, bad)
    await play(publisher)
    publisher.finish(KEY, LENGTH)
    await publisher.delivered(KEY)
    assert bad.reached() is None
    bad.down = False
    await until(lambda: bad.ended() == LENGTH)
    assert bad.media() == good.media()


async def test_without_any_origin_in_reach_a_take_is_forgotten_after_one_window(
    publishing: Publishing,
) -> None:
    bad = BadLine()
    bad.down = True
    publisher = publishing(bad, window=0)
    publisher.open(KEY, HEADER, 0)
    publisher.finish(KEY, 0)
    await publisher.delivered(KEY)
    assert publisher.open(KEY, HEADER, 5).first == 5


async def test_an_origin_that_was_away_longer_than_the_window_has_gaps_and_then_media(
    publishing: Publishing,
) -> None:
    bad = BadLine()
    publisher = publishing(bad, window=3)
    await play(publisher, Position(0, 3))
    await until(lambda: bad.reached() == Position(0, 3))
    bad.down = True
    await play(publisher, Position(6, 1), Position(0, 3))
    bad.down = False
    await until(lambda: bad.reached() == Position(6, 1))
    assert bad.gaps == [("64k", msn) for msn in range(4)]
    assert list(bad.media()) == [0, 1, 2, 3, 4, 5]


async def test_a_successor_continues_where_an_origin_stands_and_brings_it_what_others_have(
    publishing: Publishing,
) -> None:
    behind, ahead, empty = MemoryOrigin("behind"), MemoryOrigin("ahead"), MemoryOrigin("empty")
    first = publishing(behind, ahead)
    await play(first, Position(2, 2))
    await first.stop()
    for part in encoded((2, 2), (4, 1)):
        await ahead.put_part(KEY, part.rendition, part.msn, part.part, part.data)
    await play(publishing(behind, ahead, empty), Position(5, 0), Position(4, 0))
    await until(lambda: behind.reached() == ahead.reached() == empty.reached() == Position(5, 0))
    assert behind.gaps == ahead.gaps == empty.gaps == []
    assert behind.media() == ahead.media()
    assert empty.media()[4] == ahead.media()[4]
    assert list(empty.media()) == [4]


async def test_other_bytes_at_an_origin_stay_there_are_counted_and_the_rest_goes_on(
    publishing: Publishing, metrics: Metrics
) -> None:
    origin = MemoryOrigin()
    init = init_segment(HEADER.settings, HEADER.settings.renditions[0])
    await origin.put_take(KEY, HEADER)
    await origin.put_init(KEY, "64k", init)
    publisher = publishing(origin)
    await play(publisher, Position(0, 1))
    await until(lambda: origin.reached() == Position(0, 1))
    # Another worker, with another encoder, is quicker by one part.
    theirs = takes.part(GRID, 0, 1, b"other")
    await origin.put_part(KEY, "64k", 0, 1, theirs)
    await play(publisher, Position(1, 0))
    await until(lambda: origin.reached() == Position(1, 0))
    assert origin.takes[KEY].renditions["64k"].part_bytes(0, 1) == theirs
    value = metrics.registry.get_sample_value("longwave_publish_conflicts_total", {"origin": origin.name})
    assert value == 1


async def test_media_that_an_origin_refuses_becomes_a_gap_there_and_nowhere_else(
    publishing: Publishing,
) -> None:
    class Picky(MemoryOrigin):
        async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
            if (msn, part) == (1, 2):
                raise MalformedMedia("not to my taste")
            await super().put_part(key, rendition, msn, part, data)

    picky, other = Picky("picky"), MemoryOrigin("other")
    publisher = publishing(picky, other)
    await play(publisher)
    publisher.finish(KEY, LENGTH)
    await publisher.delivered(KEY)
    assert picky.ended() == other.ended() == LENGTH
    assert picky.gaps == [("64k", 1)]
    assert other.released == everything()


async def test_an_origin_that_has_ended_the_take_gets_no_more_of_it_and_others_do(
    publishing: Publishing,
) -> None:
    origin, other = MemoryOrigin("ended"), MemoryOrigin("other")
    publisher = publishing(origin, other)
    await play(publisher, Position(1, 0))
    await until(lambda: origin.reached() == Position(1, 0))
    origin.takes[KEY].end(90_000)
    await play(publisher, LAST, Position(1, 0))
    publisher.finish(KEY, LENGTH)
    await publisher.delivered(KEY)
    assert (origin.ended(), other.ended()) == (90_000, LENGTH)


async def test_a_take_that_ended_while_nobody_encoded_ends_at_its_origins(publishing: Publishing) -> None:
    knows, knows_not = MemoryOrigin("knows"), MemoryOrigin("knows not")
    first = publishing(knows)
    await play(first, Position(2, 2))
    await first.stop()
    publisher = publishing(knows, knows_not)
    publisher.open(KEY, HEADER, 4)
    publisher.finish(KEY, 3 * 96_000)
    await publisher.delivered(KEY)
    assert knows.ended() == 3 * 96_000
    assert knows.gaps == [("64k", 2)]
    assert knows_not.takes == {}


async def test_renditions_go_side_by_side_and_each_in_order(publishing: Publishing) -> None:
    names = ("32k", "64k", "128k")
    header = takes.header(*names)
    bad = BadLine(3, trouble=0.1, delay=0.003)
    publisher = publishing(bad)
    log = publisher.open(KEY, header, 0)
    parts = encoded((0, 0), (3, 0), names)
    for part in parts:
        log.append([part])
        await asyncio.sleep(0)
    await until(lambda: all(bad.reached(name) == Position(3, 0) for name in names))
    for name in names:
        positions = [position for rendition, position in bad.released if rendition == name]
        assert positions == list(takes.positions(GRID, Position(0, 0), Position(3, 0)))


async def test_events_arrive_before_the_parts_that_follow_them_also_at_an_origin_that_lost_them(
    publishing: Publishing,
) -> None:
    origin = MemoryOrigin()
    publisher = publishing(origin)
    await play(publisher, Position(0, 1))
    await until(lambda: origin.reached() == Position(0, 1))
    log = publisher.open(KEY, HEADER, 0)
    log.add_events([TakeEvent(20_000, 0, "chapter", title="One")])
    log.append(encoded((0, 1), (1, 0)))
    await until(lambda: origin.reached() == Position(1, 0))
    assert origin.requests.index("events/20000-0.json") < origin.requests.index("64k/0.1.m4s")
    origin.restart()
    await play(publisher, Position(1, 1), Position(1, 0))
    await until(lambda: origin.reached() == Position(1, 1))
    assert "One" in origin.takes[KEY].media_playlist("64k")


async def test_stopping_delivers_what_is_encoded_and_closes_the_clients(publishing: Publishing) -> None:
    slow, dead = BadLine(1, delay=0.01), BadLine(2)
    dead.down = True
    publisher = publishing(slow, dead)
    await play(publisher, Position(2, 0))
    await publisher.stop(grace=30)
    assert slow.reached() == Position(2, 0)
    assert slow.closed
    assert dead.closed


async def test_rooms_do_not_wait_for_each_other(publishing: Publishing) -> None:
    class Stuck(MemoryOrigin):
        async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
            if key == KEY:
                await asyncio.Event().wait()
            await super().put_part(key, rendition, msn, part, data)

    origin = Stuck()
    publisher = publishing(origin)
    await play(publisher, Position(1, 0))
    other = TakeKey("other", KEY.take)
    publisher.open(other, HEADER, 0).append(encoded((0, 0), (1, 0)))
    await until(
        lambda: other in origin.takes and origin.takes[other].renditions["64k"].next == Position(1, 0)
    )
    assert origin.reached() is None


async def test_sound_goes_on_at_an_origin_that_takes_no_more_events(publishing: Publishing) -> None:
    origin = MemoryOrigin()
    publisher = publishing(origin)
    log = publisher.open(KEY, HEADER, 0)
    log.add_events(TakeEvent(n, 0, "chapter", title="Again") for n in range(0, 48 * (MAX_EVENTS + 1), 48))
    await play(publisher)
    await until(lambda: origin.reached() == LAST)


async def test_sound_goes_on_where_an_event_cannot_be_put_into_words(publishing: Publishing) -> None:
    class Strict(MemoryOrigin):
        async def put_event(self, key: TakeKey, event: TakeEvent) -> None:
            event.title.encode()
            await super().put_event(key, event)

    origin = Strict()
    publisher = publishing(origin)
    log = publisher.open(KEY, HEADER, 0)
    log.add_events([TakeEvent(0, 0, "chapter", title="\ud800"), TakeEvent(0, 1, "chapter", title="Two")])
    await play(publisher)
    await until(lambda: origin.reached() == LAST)
    assert "events/0-1.json" in origin.requests
