from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator

import pytest

from contracts.errors import StorageUnavailable
from storage.pooled import Pooled


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """What calls wait for; it is set at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - threads set no asyncio.Event
        await asyncio.sleep(0.005)


async def until_busy(pooled: Pooled, calls: int) -> None:
    await until(lambda: pooled._calls == calls)


async def test_a_call_returns_and_raises_what_its_function_does() -> None:
    pooled = Pooled()
    assert await pooled.call(divmod, 7, 2) == (3, 1)
    assert await pooled.call(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await pooled.call(divmod, 7, 0)
    assert await pooled.call(threading.get_ident) != threading.get_ident()
    pooled.close()


async def test_a_storage_that_hangs_keeps_its_own_callers_waiting_and_nobody_else(
    stuck: threading.Event,
) -> None:
    slow, fast = Pooled(threads=2), Pooled(threads=2)
    waiting = [asyncio.create_task(slow.call(stuck.wait)) for _ in range(5)]
    await until_busy(slow, 5)
    assert await fast.call(divmod, 7, 2) == (3, 1)
    assert not any(task.done() for task in waiting)
    stuck.set()
    assert await asyncio.gather(*waiting) == [True] * 5
    slow.close()
    fast.close()


async def test_never_more_threads_than_were_asked_for(stuck: threading.Event) -> None:
    pooled = Pooled(threads=3)
    running: set[int] = set()

    def work() -> None:
        running.add(threading.get_ident())
        stuck.wait()

    tasks = [asyncio.create_task(pooled.call(work)) for _ in range(20)]
    await until_busy(pooled, 20)
    await until(lambda: len(running) == 3)
    stuck.set()
    await asyncio.gather(*tasks)
    assert len(running) == 3
    pooled.close()


async def test_too_many_who_wait_are_told_so_and_the_next_one_is_served(stuck: threading.Event) -> None:
    pooled = Pooled(threads=1, waiting=2)
    tasks = [asyncio.create_task(pooled.call(stuck.wait)) for _ in range(3)]
    await until_busy(pooled, 3)
    with pytest.raises(StorageUnavailable, match="too slow: 3 requests"):
        await pooled.call(stuck.wait)
    stuck.set()
    await asyncio.gather(*tasks)
    await until_busy(pooled, 0)
    assert await pooled.call(divmod, 7, 2) == (3, 1)
    pooled.close()


async def test_whoever_leaves_while_waiting_is_never_begun_and_whoever_leaves_later_still_counts(
    stuck: threading.Event,
) -> None:
    pooled = Pooled(threads=1, waiting=1)
    began: list[int] = []

    def work(number: int) -> None:
        began.append(number)
        stuck.wait()

    first, second = (asyncio.create_task(pooled.call(work, number)) for number in (1, 2))
    await until_busy(pooled, 2)
    await until(lambda: began == [1])
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    await until_busy(pooled, 1)  # the thread of the first is still stuck
    stuck.set()
    await until_busy(pooled, 0)
    assert began == [1]
    pooled.close()


async def test_a_call_runs_in_its_callers_context() -> None:
    pooled = Pooled(threads=1)
    request = contextvars.ContextVar("request", default="none")
    request.set("mine")
    assert await pooled.call(request.get) == "mine"
    pooled.close()


async def test_after_the_end_nothing_is_begun(stuck: threading.Event) -> None:
    pooled = Pooled(threads=1)
    task = asyncio.create_task(pooled.call(stuck.wait))
    await until_busy(pooled, 1)
    pooled.close()
    with pytest.raises(StorageUnavailable, match="about to stop"):
        await pooled.call(stuck.wait)
    stuck.set()
    assert await task is True
