from __future__ import annotations

import asyncio

import pytest

from contracts.errors import NotReady
from contracts.position import Position
from origin.waiters import Crowd, Waiters


def far() -> float:
    return asyncio.get_running_loop().time() + 30


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(limit=100)


@pytest.fixture
def observed() -> list[float]:
    return []


@pytest.fixture
def waiters(crowd: Crowd, observed: list[float]) -> Waiters:
    return Waiters(crowd, observed.append)


async def held(waiters: Waiters, *targets: tuple[int, int]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(waiters.wait(Position(*target), far())) for target in targets]
    await asyncio.sleep(0)
    return tasks


async def test_a_position_is_released_when_the_next_one_is_expected(waiters: Waiters) -> None:
    first, second = await held(waiters, (3, 1), (3, 2))
    waiters.release(Position(3, 1))
    await asyncio.sleep(0)
    assert not first.done()
    waiters.release(Position(3, 2))
    await first
    assert not second.done()
    waiters.release(Position(4, 0))
    await second


async def test_a_request_that_leaves_cancels_only_itself(waiters: Waiters, crowd: Crowd) -> None:
    leaves, stays = await held(waiters, (3, 1), (3, 1))
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    assert (len(waiters), crowd.blocked) == (1, 1)
    waiters.release_all()
    await stays
    assert (len(waiters), crowd.blocked) == (0, 0)


async def test_a_deadline_turns_away(waiters: Waiters, crowd: Crowd) -> None:
    with pytest.raises(NotReady, match="three target durations"):
        await waiters.wait(Position(0, 0), asyncio.get_running_loop().time() - 1)
    assert (len(waiters), crowd.blocked) == (0, 0)


async def test_draining_turns_everybody_away(waiters: Waiters) -> None:
    tasks = await held(waiters, (3, 1), (9, 0))
    waiters.drain()
    for task in tasks:
        with pytest.raises(NotReady, match="shutting down"):
            await task


async def test_nobody_waits_beyond_the_bound(waiters: Waiters, crowd: Crowd) -> None:
    crowd.limit = 1
    (task,) = await held(waiters, (3, 1))
    with pytest.raises(NotReady, match="too many"):
        await waiters.wait(Position(3, 1), far())
    waiters.release_all()
    await task


async def test_the_last_of_those_released_is_timed(waiters: Waiters, observed: list[float]) -> None:
    tasks = await held(waiters, (3, 1), (3, 1), (3, 1))
    waiters.release(Position(3, 2))
    await asyncio.gather(*tasks)
    assert len(observed) == 1
    assert observed[0] >= 0
