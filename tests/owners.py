"""Ingests that claim rooms in real Redis servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from itertools import count

import redis
from prometheus_client import CollectorRegistry

from contracts.errors import LivesElsewhere
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeSettings
from storage.event_log import event_json
from tests.redis_server import RedisServer, poll, redis_servers
from workers.claims import Continued
from workers.cluster.ownership import Ownership
from workers.redis_bus import keys
from workers.redis_bus.links import open_links
from workers.take_memo import TakeMemo

TTL_MS = 600
HEADER = TakeHeader(1_769_889_600_000_000, TakeSettings(), "e" * 64)
_ROOMS = count()
Ingests = Callable[..., Awaitable[Ownership]]


def _runs_for_a_second(client: redis.Redis) -> bool:
    return bool(client.info("server")["uptime_in_seconds"] >= 1)


async def claimed(ownership: Ownership, room: str) -> Continued | None:
    """The claim of a room that its owner may still have to lose."""
    while True:
        try:
            return (await ownership.claim(room)).take
        except LivesElsewhere:
            await asyncio.sleep(0.02)


def put_take(server: RedisServer, key: TakeKey, memo: TakeMemo, top: int, *events: TakeEvent) -> None:
    """A take as its owner's writer leaves it in Redis."""
    with server.client() as client:
        fields = {**memo.to_fields(), b"top": str(top).encode()}
        client.hset(keys.take(key), mapping=fields)
        client.set(keys.live(key.room), key.take)
        client.sadd(keys.TAKES, keys.member(key))
        if events:
            client.rpush(keys.events(key), *map(event_json, events))


def generation_of(server: RedisServer, key: TakeKey) -> int:
    return int(server.command("HGET", keys.take(key), "gen"))


def owner_of(server: RedisServer, room: str) -> bytes | None:
    node: bytes | None = server.command("HGET", keys.owner(room), "node")
    return node


@contextmanager
def two_servers() -> Iterator[Sequence[RedisServer]]:
    """Two servers that have been running for longer than a claim lives."""
    with redis_servers(2) as servers:
        for server in servers:
            with server.client() as client:
                poll(partial(_runs_for_a_second, client), "it has been up for a second")
        yield servers


def new_room() -> str:
    return f"room{next(_ROOMS)}"


@asynccontextmanager
async def ingests() -> AsyncIterator[Ingests]:
    """Ingests with an Ownership each; they renew nothing before they are told to `start`."""
    async with AsyncExitStack() as stack:

        async def made(name: str, *servers: RedisServer, url: str = "") -> Ownership:
            links = open_links([server.url for server in servers], Metrics(CollectorRegistry()))
            stack.push_async_callback(links.close)
            ownership = Ownership(links, name, url or f"http://{name}", ttl_ms=TTL_MS)
            stack.push_async_callback(ownership.stop)
            return ownership

        yield made
