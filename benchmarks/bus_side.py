"""The processes of the bus benchmark: `python -m benchmarks.bus_side ROLE --rooms N …`.

- `together`: owner and encoders in one process, with the in-process bus between them.
- `owner`: the owner, and a writer to Redis.
- `worker`: readers, mirrors and encoders of the rooms whose number is `--share` modulo `--shares`.

Each says `ready`, reads the instant at which takes begin (`benchmarks.bus_takes`), and starts. From then on
it answers every line on its standard input with a line of JSON, its counters, and ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import uvloop
from prometheus_client import CollectorRegistry

from benchmarks.bus_takes import EveryRoom, Feeder, header_of, key_of
from contracts.metrics import Metrics
from longwave.heap import share_one_arena
from longwave.logs import configure_logs
from pipeline.grid import SAMPLE_RATE
from workers.http_origin import HttpOrigin
from workers.memory_bus import MemoryHub
from workers.publisher import Publisher
from workers.redis_bus.links import open_links
from workers.redis_bus.mirrors import Mirrors
from workers.redis_bus.reader import BusReader
from workers.redis_bus.writer import BusWriter
from workers.transcoder_pool import TranscoderPool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.bus import BusTakes

# What an ingest of its own holds (longwave.owned_rooms).
_HELD: Final = 60 * SAMPLE_RATE


async def _run(given: argparse.Namespace) -> None:
    metrics = Metrics(CollectorRegistry())
    async with AsyncExitStack() as stack:
        if given.role == "together":
            hub = MemoryHub()
            _encode(stack, hub, given.origin, metrics)
            tasks = [asyncio.create_task(Feeder(hub, given.rooms, given.base).run())]
        elif given.role == "owner":
            hub = MemoryHub(sound_held=_HELD)
            tasks = [*_write(stack, hub, given, metrics)]
            tasks += [asyncio.create_task(Feeder(hub, given.rooms, given.base).run())]
        else:
            tasks = [*_carry(stack, given, metrics)]
        answering = asyncio.create_task(_answer(metrics))
        done, _ = await asyncio.wait([answering, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # one that failed says so
        for task in tasks:
            task.cancel()


def _encode(stack: AsyncExitStack, takes: BusTakes, origin: str, metrics: Metrics) -> None:
    publisher = Publisher([HttpOrigin(origin)], metrics)
    pool = TranscoderPool(takes, publisher, metrics)
    stack.push_async_callback(publisher.stop)
    stack.push_async_callback(pool.stop)
    pool.start()


def _write(
    stack: AsyncExitStack, hub: MemoryHub, given: argparse.Namespace, metrics: Metrics
) -> Iterable[asyncio.Task[None]]:
    links = open_links([given.bus], metrics)
    writer = BusWriter(links[0], hub, EveryRoom(given.rooms, given.base), metrics)
    stack.push_async_callback(links.close)
    stack.push_async_callback(writer.stop, 0.5)
    writer.start()
    return writer.background


def _carry(
    stack: AsyncExitStack, given: argparse.Namespace, metrics: Metrics
) -> Iterable[asyncio.Task[None]]:
    links, mirrors = open_links([given.bus], metrics), Mirrors()
    reader = BusReader(links[0], mirrors, metrics)
    _encode(stack, mirrors, given.origin, metrics)
    stack.push_async_callback(links.close)
    stack.push_async_callback(reader.stop)
    for index in range(given.share, given.rooms, given.shares):
        mirrors.follow(key_of(index), header_of(index, given.rooms, given.base), 0)
    reader.start()
    return reader.background


async def _answer(metrics: Metrics) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(json.dumps(counters(metrics)), flush=True)


def counters(metrics: Metrics) -> dict[str, float]:
    """What was counted so far: round trips, bytes of sound that went out and came in, parts."""
    found = {"round trips": 0.0, "out": 0.0, "in": 0.0, "parts": 0.0, "gaps": 0.0}
    for family in metrics.registry.collect():
        for sample in family.samples:
            match sample.name:
                case "longwave_bus_round_trips_total":
                    found["round trips"] += sample.value
                case "longwave_bus_bytes_total":
                    found[sample.labels["way"]] += sample.value
                case "longwave_parts_encoded_total":
                    found["parts"] += sample.value
                case "longwave_gaps_total":
                    found["gaps"] += sample.value
                case _:
                    pass
    return found


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("together", "owner", "worker"))
    parser.add_argument("--rooms", type=int, required=True)
    parser.add_argument("--origin", default="")
    parser.add_argument("--bus", default="")
    parser.add_argument("--share", type=int, default=0)
    parser.add_argument("--shares", type=int, default=1)
    given = parser.parse_args()
    configure_logs("warning", "auto")
    share_one_arena()
    print("ready", flush=True)
    given.base = int(sys.stdin.readline())
    uvloop.run(_run(given))


if __name__ == "__main__":
    main()
