"""Takes put into a Redis by hand, as their owner would, and time that tests move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.take import TakeHeader, TakeKey, TakeSettings
from tests.redis_server import RedisServer
from workers.redis_bus import keys
from workers.redis_bus.address import parse_bus
from workers.redis_bus.links import BusLinks, RedisLink
from workers.take_memo import TakeMemo

HEADER = TakeHeader(epoch_us=1_769_889_600_000_000, settings=TakeSettings(), encoder="fp")


@dataclass
class Clock:
    """Time that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def take_key(room: str) -> TakeKey:
    """The one take of a room."""
    return TakeKey(room, "20260131T200000Z-abc234")


def links_to(servers: Sequence[RedisServer], clock: Callable[[], float]) -> BusLinks:
    """Links that go by the time of the test."""
    metrics = Metrics(CollectorRegistry())
    return BusLinks([RedisLink(parse_bus(server.url), metrics, clock=clock) for server in servers])


def put_take(
    server: RedisServer, key: TakeKey, *, generation: int = 1, ended: int | None = None, listed: bool = True
) -> None:
    """What an owner says of its take."""
    memo = TakeMemo(HEADER, generation, ended=ended)
    with server.client() as client:
        client.hset(keys.take(key), mapping=dict(memo.to_fields()))
        if listed:
            client.sadd(keys.TAKES, keys.member(key))


def put_silence(server: RedisServer, key: TakeKey, start: int, stop: int) -> None:
    """Samples [start, stop) of a take in its stream, in one entry."""
    with server.client() as client:
        client.xadd(keys.pcm(key), {"kind": "silence", "start": start, "gen": 1}, id=f"{stop}-0")
