"""When a line to a room's owner is given up, and when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from contracts.errors import BusUnavailable, LongwaveError, OverCapacity, OwnerUnavailable
from workers.relay_watch import Watch, unless

HERE, THERE = "http://here", "http://there"


class Said:
    """What is known of the owner, one look after another; from the last on it stays so."""

    def __init__(self, *urls: str | Exception | None) -> None:
        self._urls = list(urls)
        self.looks = 0

    async def elsewhere(self, rooms: Collection[str]) -> dict[str, str | None]:
        assert list(rooms) == ["room"]
        self.looks += 1
        said = self._urls.pop(0) if len(self._urls) > 1 else self._urls[0]
        if isinstance(said, Exception):
            raise said
        return {"room": said}

    async def seen(self, looks: int) -> None:
        async with asyncio.timeout(10):
            while self.looks < looks:  # noqa: ASYNC110
                await asyncio.sleep(0)


@pytest.mark.parametrize(
    "said",
    [
        (HERE,),
        (None, HERE),
        (None, HERE, None, HERE),
        (BusUnavailable("away"),),
        (None, BusUnavailable("away"), HERE),
    ],
)
async def test_a_line_stays_while_its_owner_may_be_there(said: tuple[str | Exception | None, ...]) -> None:
    world = Said(*said)
    with Watch(world.elsewhere, 0).over("room", HERE) as over:
        await world.seen(len(said) + 10)
        assert not over.done()


@pytest.mark.parametrize(
    ("said", "looks"), [((THERE,), 1), ((None,), 2), ((HERE, None, BusUnavailable(""), None), 4)]
)
async def test_a_line_is_over_once_its_owner_is_another_or_none(
    said: tuple[str | Exception | None, ...], looks: int
) -> None:
    world = Said(*said)
    with Watch(world.elsewhere, 0).over("room", HERE) as over:
        async with asyncio.timeout(10):
            reason = await over
    assert isinstance(reason, OwnerUnavailable)
    assert world.looks == looks


async def test_all_rooms_are_looked_at_at_once_and_nothing_without_a_line() -> None:
    asked: list[set[str]] = []

    async def elsewhere(rooms: Collection[str]) -> dict[str, str | None]:
        asked.append(set(rooms))
        # Of one of them nobody can say who owns it.
        return dict.fromkeys(set(rooms) - {"unknown"}, HERE)

    watch = Watch(elsewhere, 0.001)
    with watch.over("room", HERE) as first, watch.over("unknown", HERE) as unknown:
        with watch.over("other", THERE) as second, watch.over("room", THERE) as third:
            async with asyncio.timeout(10):
                await asyncio.gather(second, third)
        looks = len(asked)
        async with asyncio.timeout(10):
            while len(asked) < looks + 3:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert not first.done()
        assert not unknown.done()
        task = watch._task
        assert task is not None
    assert asked[0] == {"room", "unknown", "other"}
    assert asked[-1] == {"room", "unknown"}
    assert watch._lines == {}
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    # And again, when somebody comes.
    with watch.over("room", THERE) as again:
        async with asyncio.timeout(10):
            await again


async def test_all_lines_end_with_the_process() -> None:
    world = Said(HERE)
    watch, reason = Watch(world.elsewhere, 10), OverCapacity("goes down")
    with watch.over("room", HERE) as over:
        watch.end(reason)
        assert over.result() is reason


async def test_work_is_cancelled_when_its_line_is_over() -> None:
    over: asyncio.Future[LongwaveError] = asyncio.get_running_loop().create_future()
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    asyncio.get_running_loop().call_soon(over.set_result, OwnerUnavailable("gone"))
    with pytest.raises(OwnerUnavailable, match="gone"):
        await unless(over, work())
    assert cancelled.is_set()


async def test_work_that_is_done_counts_also_where_its_line_is_over() -> None:
    over: asyncio.Future[LongwaveError] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        over.set_result(OwnerUnavailable("gone"))
        return 7

    assert await unless(over, work()) == 7
