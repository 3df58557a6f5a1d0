"""What a worker knows of origins: what any of them has, and whether any is in reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from tests import takes
from tests.publishing import KEY, BadLine, MemoryOrigin, encoded
from tests.waiting import until
from workers.origin_client import OriginClient
from workers.publisher import Publisher
from workers.reach import OUT_AFTER, Reach

HEADER = takes.header()


@pytest.fixture
async def publisher() -> AsyncIterator[Callable[..., Publisher]]:
    made: list[Publisher] = []

    def make(*origins: OriginClient) -> Publisher:
        made.append(Publisher(origins, Metrics(CollectorRegistry())))
        return made[-1]

    yield make
    for each in made:
        await each.stop(grace=0)


async def test_what_no_origin_has_is_not_reached(publisher: Callable[..., Publisher]) -> None:
    first, second = BadLine(1), BadLine(2)
    first.down = second.down = True
    puts = publisher(first, second)
    log = puts.open(KEY, HEADER, 0)
    log.append(encoded((0, 0), (2, 3)))
    await asyncio.sleep(0.05)
    assert puts.reached(KEY) is None, "it is encoded, and nobody has it"
    assert puts.taken == 0
    second.down = False
    await until(lambda: puts.reached(KEY) == Position(2, 3))
    assert puts.taken > 0
    second.down = True
    log.append(encoded((2, 3), (4, 0)))
    await asyncio.sleep(0.05)
    assert puts.reached(KEY) == Position(2, 3)


async def test_origins_for_which_something_waits_prove_nothing_by_an_answer(
    publisher: Callable[..., Publisher],
) -> None:
    line = BadLine(1)
    puts = publisher(line)
    reach = Reach(puts, Metrics(CollectorRegistry()))
    assert await puts.knock(), "it answers, and there is nothing to put"
    line.down = True
    assert not await puts.knock()
    puts.open(KEY, HEADER, 0).append(encoded((0, 0), (1, 0)))
    # Questions are answered again, but nothing is taken.
    line.put_init = line.end  # type: ignore[assignment, method-assign]
    line.down = False
    for _ in range(OUT_AFTER):
        await reach.look()
    assert reach.out


async def test_one_origin_that_is_gone_keeps_nobody_from_reaching_the_others(
    publisher: Callable[..., Publisher],
) -> None:
    gone, there = BadLine(1), MemoryOrigin()
    gone.down = True
    puts = publisher(gone, there)
    puts.open(KEY, HEADER, 0).append(encoded((0, 0), (1, 0)))
    await until(lambda: there.reached() == Position(1, 0))
    assert await puts.knock()
