"""A server that lost a task it cannot do without ends, instead of looking alive."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from longwave.listening import RoleFailed, stopped


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise ValueError("a bug")


async def test_a_background_task_that_dies_ends_the_server() -> None:
    healthy = asyncio.create_task(for_ever(), name="healthy")
    dying = asyncio.create_task(fail(), name="the ticker")
    with pytest.raises(RoleFailed, match="the ticker"):
        await stopped([healthy, dying])
    healthy.cancel()


async def test_a_signal_ends_it_with_its_tasks_alive() -> None:
    healthy = asyncio.create_task(for_ever(), name="healthy")
    waiting = asyncio.create_task(stopped([healthy]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await waiting
    assert not healthy.done()
    healthy.cancel()
