"""An origin that is far behind when a worker takes a take over gets what lies between from the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import OriginUnavailable
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeKey
from longwave.local_origin import LocalOrigin
from origin.service import Origin, OriginLimits
from tests import takes
from tests.origins import running
from tests.publishing import KEY, encoded
from tests.waiting import until
from workers.http_origin import HttpOrigin
from workers.origin_client import OriginClient
from workers.publisher import Publisher

HEADER = takes.header()
TOOK_OVER = 40


class Line(LocalOrigin):
    """A real origin that counts how often it is asked for media, and may fail or hang for some time."""

    def __init__(self) -> None:
        self.origin = Origin(OriginLimits(), Metrics(CollectorRegistry()))
        super().__init__(self.origin)
        self.asked = 0
        self.fails = 0
        self.hangs = False

    async def parts_of(self, key: TakeKey, rendition: str, msn: int) -> tuple[bytes, ...]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.asked <= self.fails:
            raise OriginUnavailable("cut")
        return await super().parts_of(key, rendition, msn)

    @property
    def next(self) -> Position:
        return self.origin.state(KEY).renditions["64k"].next

    @property
    def gaps(self) -> tuple[int, ...]:
        return self.origin.state(KEY).renditions["64k"].gaps

    def segment(self, msn: int) -> tuple[bytes, ...]:
        return self.origin.line(*KEY, "64k").window.parts_held(msn)


@pytest.fixture
async def successor() -> AsyncIterator[Publisher]:
    """The publisher of a worker that takes the take over."""
    publisher = Publisher([], Metrics(CollectorRegistry()))
    yield publisher
    await publisher.stop(grace=0)


async def brought(stops: list[tuple[OriginClient, tuple[int, int]]]) -> None:
    """Another worker brings each origin so far, and dies."""
    for origin, stop in stops:
        publisher = Publisher([origin], Metrics(CollectorRegistry()))
        publisher.open(KEY, HEADER, 0).append(encoded((0, 0), stop))
        while not publisher._all_up_to_date() or publisher.reached(KEY) != Position(*stop):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        await publisher.release(KEY)


async def take_over(publisher: Publisher, *origins: OriginClient) -> None:
    await publisher.set_origins(origins)
    log = publisher.open(KEY, HEADER, TOOK_OVER)
    log.append(encoded((TOOK_OVER, 0), (TOOK_OVER + 2, 1)))


@pytest.mark.parametrize("part", [0, 3])
async def test_who_lacks_the_middle_gets_it_from_a_sister_and_no_gap(successor: Publisher, part: int) -> None:
    ahead, behind = Line(), Line()
    await brought([(ahead, (TOOK_OVER, 0)), (behind, (12, part))])
    await take_over(successor, ahead, behind)
    await until(lambda: behind.next == ahead.next == Position(TOOK_OVER + 2, 1))
    assert behind.gaps == ahead.gaps == ()
    assert all(behind.segment(msn) == ahead.segment(msn) for msn in range(TOOK_OVER + 2))
    # Each segment is asked for once, however many parts of it are put.
    assert ahead.asked == TOOK_OVER - 12


async def test_over_http_too() -> None:
    async with running() as far, running() as near:
        metrics = Metrics(CollectorRegistry())
        await brought([(LocalOrigin(far.origin), (TOOK_OVER, 0)), (LocalOrigin(near.origin), (30, 2))])
        publisher = Publisher([], metrics)
        await take_over(publisher, HttpOrigin(far.url), HttpOrigin(near.url))
        window = near.origin.line(*KEY, "64k").window
        await until(lambda: window.next == Position(TOOK_OVER + 2, 1))
        assert window.gaps == ()
        await publisher.stop(grace=0)


async def test_what_nobody_has_is_a_gap_and_what_one_has_in_part_is_put_in_part(
    successor: Publisher,
) -> None:
    ahead, behind = Line(), Line()
    await brought([(ahead, (TOOK_OVER - 3, 2)), (behind, (30, 0))])
    await take_over(successor, ahead, behind)
    await until(lambda: behind.next == ahead.next == Position(TOOK_OVER + 2, 1))
    assert ahead.gaps == behind.gaps == (TOOK_OVER - 3, TOOK_OVER - 2, TOOK_OVER - 1)
    assert behind.segment(TOOK_OVER - 4) == ahead.segment(TOOK_OVER - 4)


async def test_a_sister_that_stumbles_is_asked_again(successor: Publisher) -> None:
    ahead, behind = Line(), Line()
    await brought([(ahead, (TOOK_OVER, 0)), (behind, (30, 0))])
    ahead.fails = 2
    await take_over(successor, ahead, behind)
    await until(lambda: behind.next == Position(TOOK_OVER + 2, 1))
    assert behind.gaps == ()


async def test_a_sister_that_hangs_holds_nobody_up_for_long(
    successor: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.sister_fill._TIMEOUT_SECONDS", 0.02)
    ahead, behind = Line(), Line()
    await brought([(ahead, (TOOK_OVER, 0)), (behind, (30, 0))])
    ahead.hangs = True
    await take_over(successor, ahead, behind)
    await until(lambda: behind.next == Position(TOOK_OVER + 2, 1))
    assert behind.gaps == tuple(range(30, TOOK_OVER))
    assert ahead.asked == 3
