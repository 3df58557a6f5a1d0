"""Origins that take next to nothing: what they cost the others, and the worker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeEvent, TakeKey
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests import takes
from tests.origins import running
from tests.publishing import KEY, MemoryOrigin, encoded
from tests.tcp_proxy import TcpProxy
from tests.waiting import until
from workers.http_origin import HttpOrigin
from workers.publisher import Publisher

GRID = Grid(5)
HEADER = takes.header()
TIMEOUT = aiohttp.ClientTimeout(total=0.3)
SEGMENTS = 40


class Watched(HttpOrigin):
    """Counts the requests that are under way at once."""

    under_way = 0
    most = 0
    tried = 0

    async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
        await self._watch(super().put_part(key, rendition, msn, part, data))

    async def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> None:
        await self._watch(super().put_segment(key, rendition, msn, data))

    async def _watch(self, put: object) -> None:
        self.under_way += 1
        self.tried += 1
        self.most = max(self.most, self.under_way)
        try:
            await put  # type: ignore[misc]
        finally:
            self.under_way -= 1


def retries(metrics: Metrics, origin: HttpOrigin) -> float:
    name = {"origin": origin.name}
    return metrics.registry.get_sample_value("longwave_publish_retries_total", name) or 0.0


@pytest.fixture
def mute() -> Iterator[str]:
    """It accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_an_origin_that_takes_a_byte_a_second_costs_the_others_nothing_and_little_memory(
    mute: str,
) -> None:
    metrics = Metrics(CollectorRegistry())
    steady = MemoryOrigin("steady")
    async with running() as room:
        with TcpProxy(int(room.url.rpartition(":")[2])) as link:
            slow = Watched(f"http://127.0.0.1:{link.port}", timeout=TIMEOUT)
            publisher = Publisher([slow, HttpOrigin(mute, timeout=TIMEOUT), steady], metrics)
            log = publisher.open(KEY, HEADER, 0)
            log.append(encoded(Position(0, 0), Position(1, 0)))
            await until(lambda: room.origin.takes.find(KEY) is not None and slow.tried > 0)
            link.throttle(1)
            for msn in range(1, SEGMENTS):
                log.append(encoded(Position(msn, 0), Position(msn + 1, 0)))
                await asyncio.sleep(0)
            # All of it is elsewhere although they have refused nothing.
            await until(lambda: steady.reached() == Position(SEGMENTS, 0))
            assert room.origin.state(KEY).renditions["64k"].next < Position(SEGMENTS, 0)
            tried = slow.tried
            before = retries(metrics, slow)
            await until(lambda: retries(metrics, slow) >= before + 2)
            # One part or segment on its way for the rendition, however much waits in the log.
            assert slow.most == 1
            assert slow.tried - tried < 5
            link.heal()
            await until(lambda: room.origin.state(KEY).renditions["64k"].next == Position(SEGMENTS, 0))
            await publisher.stop(grace=0)


async def test_an_origin_that_is_filled_when_a_take_comes_gets_all_of_it_afterwards() -> None:
    async with running() as room:
        room.origin.being_filled = True
        client = Watched(room.url)
        publisher = Publisher([client], Metrics(CollectorRegistry()))
        log = publisher.open(KEY, HEADER, 0)
        log.add_events([TakeEvent(0, 0, "chapter", title="One")])
        log.append(encoded(Position(0, 0), Position(2, 0)))
        requests = room.origin.metrics.http_requests.labels("publish", 503)
        await until(lambda: requests._value.get() > 2)
        room.origin.being_filled = False
        await until(lambda: room.origin.takes.find(KEY) is not None)
        await until(lambda: room.origin.state(KEY).renditions["64k"].next == Position(2, 0))
        assert [event.title for event in room.origin.takes.known(KEY).window.events] == ["One"]
        await publisher.stop(grace=0)


async def test_a_conflict_is_said_once_for_each_segment_and_counted_for_each_part() -> None:
    metrics = Metrics(CollectorRegistry())
    origin = MemoryOrigin()
    await origin.put_take(KEY, HEADER)
    await origin.put_init(KEY, "64k", init_segment(HEADER.settings, HEADER.settings.renditions[0]))
    publisher = Publisher([origin], metrics)
    log = publisher.open(KEY, HEADER, 0)
    log.append(encoded(Position(0, 0), Position(0, 1)))
    await until(lambda: origin.reached() == Position(0, 1))
    # Another worker, with another encoder, is quicker by nine parts.
    for position in takes.positions(GRID, Position(0, 1), Position(2, 0)):
        await origin.put_part(KEY, "64k", *position, takes.part(GRID, *position, b"other"))
    with capture_logs() as logs:
        for position in takes.positions(GRID, Position(0, 1), Position(2, 1)):
            log.append(encoded(position, GRID.after(position)))
            await until(publisher._all_up_to_date)
        await until(lambda: origin.reached() == Position(2, 1))
    said = [entry["what"] for entry in logs if entry["event"].startswith("the origin holds other bytes")]
    assert said == ["64k/0.1.m4s", "64k/1.0.m4s"]
    value = metrics.registry.get_sample_value("longwave_publish_conflicts_total", {"origin": origin.name})
    assert value == 9
    await publisher.stop(grace=0)
