"""When a worker takes itself for cut off from origins, and when not any more."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from workers.reach import HOLD, OUT_AFTER, Reach


class Puts:
    """What origins took, and whether one answers that nothing waits for."""

    def __init__(self) -> None:
        self.taken = 0
        self.answers = False
        self.knocks = 0

    async def knock(self) -> bool:
        self.knocks += 1
        return self.answers


@pytest.fixture
def puts() -> Puts:
    return Puts()


@pytest.fixture
def reach(puts: Puts) -> Reach:
    return Reach(puts, Metrics(CollectorRegistry()))


async def out_after(reach: Reach, looks: int) -> bool:
    for _ in range(looks):
        await reach.look()
    return reach.out


async def test_who_is_taken_nothing_from_for_some_looks_is_out_of_reach_and_says_so(
    puts: Puts, reach: Reach
) -> None:
    assert not await out_after(reach, OUT_AFTER - 1)
    puts.taken += 1
    assert not await out_after(reach, OUT_AFTER)
    assert reach.degraded is None
    assert await out_after(reach, 1)
    assert "origins" in str(reach.degraded)


async def test_who_has_nothing_to_put_is_in_reach_while_an_origin_answers(puts: Puts, reach: Reach) -> None:
    puts.answers = True
    assert not await out_after(reach, 3 * OUT_AFTER)


async def test_what_is_taken_ends_it_at_once_and_an_answer_only_after_a_while(
    puts: Puts, reach: Reach
) -> None:
    assert await out_after(reach, OUT_AFTER)
    puts.taken += 1
    assert not await out_after(reach, 1)
    assert await out_after(reach, OUT_AFTER)
    # Its takes are with others by now, so that nothing waits for an origin that answers.
    puts.answers = True
    assert await out_after(reach, HOLD)
    assert not await out_after(reach, 1)


async def test_nobody_is_asked_while_something_is_taken(puts: Puts, reach: Reach) -> None:
    for _ in range(5):
        puts.taken += 1
        await reach.look()
    assert puts.knocks == 0
