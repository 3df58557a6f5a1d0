"""Links to Redis: every word with a Redis goes through one, so that each can be slow or gone without harm.

A link never waits long, tries nothing again by itself, and knows whether its Redis answers. Errors of the
client library end here: whoever calls gets an answer or `BusUnavailable`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar, overload

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from contracts.errors import BusUnavailable
from contracts.metrics import Metrics
from workers.redis_bus.address import BusAddress, parse_bus
from workers.redis_bus.packing import (
    ManagedConnection,
    ManagedSecureConnection,
    PlainConnection,
    SecureConnection,
)

logger = structlog.get_logger()

T = TypeVar("T")

SOCKET_SECONDS: Final = 0.5
"""How long one answer, or a connection, may take."""
BLOCK_SECONDS: Final = 0.1
"""For how long a read may block, in addition: then a far server is as good as any for it."""
# One call may have to ask Sentinels, connect, say who it is, and then ask.
_CALL_SECONDS: Final = 2.5
# Calls at a time; more of them wait their turn. Reads that block have connections of their own.
_CALLS_AT_ONCE: Final = 16
_BLOCKING: Final = "blocking"
_CONNECTIONS: Final = 64
# A Redis that refuses to write answers reads all the same: what was refused speaks for so long.
_REFUSAL_SECONDS: Final = 5.0

# First word of an error → what it means. These say that this Redis is of no use at the moment.
_USELESS: Final = {
    "READONLY": "it is a replica, and takes no writes",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "its master is gone",
    "NOAUTH": "it wants a password",
    "WRONGPASS": "it does not know this name and password",
    "NOPERM": "this user may not do that",
    "OOM": "its memory is full (used memory > maxmemory)",
    "MISCONF": "it cannot write to its disk, and takes no writes",
    "NOREPLICAS": "it has too few replicas, and takes no writes",
    "CLUSTERDOWN": "its cluster is down",
    "BUSY": "a script keeps it busy",
}


class RedisRefuses(BusUnavailable):
    """A Redis that works does not do what it was asked: mostly, a key is of another kind than wanted."""


class RedisLink:
    """One Redis, whichever server that is at the moment. `clock` is monotonic."""

    def __init__(
        self, address: BusAddress, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = address.name
        self.up = False
        self.up_since: float | None = None
        self.trouble = "it has not been asked yet"
        self._address = address
        self._sentinel = _sentinel(address)
        self.client = _client(address, self._sentinel, SOCKET_SECONDS)
        self.blocking = _client(address, self._sentinel, SOCKET_SECONDS + BLOCK_SECONDS)
        self._metrics = metrics
        self._clock = clock
        self._turns = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._refused: tuple[str, float] | None = None
        # What broke one connection has broken others, where nobody noticed yet; and the name of a server may
        # lead to another one by now.
        self._reconnect = False
        self._told: bool | None = None
        self._gauge = metrics.bus_up.labels(self.name)
        self._gauge.set(0)
        self._logger = logger.bind(bus=self.name)

    def settled(self, seconds: float) -> bool:
        """It has answered for at least so long."""
        return self.up_since is not None and self._clock() - self.up_since >= seconds

    async def call(self, kind: str, work: Awaitable[T]) -> T:
        """The outcome of `work`, which asks this link's `client`; with the kind "blocking", its `blocking`.

        `kind` is for the metrics. Raises BusUnavailable, after 2.5 s at the latest; RedisRefuses is one, of a
        server that works. Cancelling it is safe: a connection in the middle of an answer is dropped.
        """
        before, trouble = _cancellations(), None
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                if kind == _BLOCKING:
                    answer = await self._count(kind, work)
                else:
                    async with self._turns:
                        answer = await self._count(kind, work)
        except (RedisError, OSError, RuntimeError) as error:
            # RuntimeError is what uvloop says where a connection was reset before something is sent.
            trouble = self.failed(kind, error)
        else:
            self._answered(kind)
        finally:
            if isinstance(work, Coroutine):
                work.close()  # one whose turn never came
        if _cancellations() > before:
            # The client library sends inside asyncio.wait_for, which up to Python 3.11 may swallow this.
            raise asyncio.CancelledError
        if trouble is not None:
            raise trouble  # without its cause: what a server repeats in its errors may be secret
        return answer

    async def replies(self, kind: str, pipeline: Pipeline) -> list[Any]:
        """The replies to each command of a pipeline; in the place of one that is refused, a RedisRefuses.

        So a key of the wrong kind costs no other one its answer. Raises BusUnavailable as `call` does.
        """
        replies = await self.call(kind, pipeline.execute(raise_on_error=False))
        for number, reply in enumerate(replies):
            if isinstance(reply, Exception):
                replies[number] = refusal = self.failed(kind, reply)
                if not isinstance(refusal, RedisRefuses):
                    raise refusal
        return replies

    def failed(self, kind: str, error: Exception) -> BusUnavailable:
        """What `error` means, also for the health of this link: tell it of those that a pipeline answers."""
        word = _code(error)
        if isinstance(error, ResponseError) and word not in _USELESS:
            return RedisRefuses(f"redis {self.name} refuses: {self._address.conceal(str(error)):.200}")
        if word in _USELESS:
            self.trouble = _USELESS[word]
            self._refused = (kind, self._clock())
        elif isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
            self.trouble = "no answer in time"
        else:
            self.trouble = self._address.conceal(str(error))[:200] or type(error).__name__
        self._reconnect = True
        self._became(up=False)
        return BusUnavailable(f"redis {self.name}: {self.trouble}")

    async def close(self) -> None:
        """Drop all connections."""
        for client in (self.client, self.blocking):
            with suppress(RedisError, OSError):
                await client.aclose()
        if self._sentinel is not None:
            with suppress(RedisError, OSError):
                await self._sentinel.aclose()
        self._gauge.set(0)

    async def _count(self, kind: str, work: Awaitable[T]) -> T:
        if self._reconnect:
            self._reconnect = False
            for client in (self.client, self.blocking):
                await client.connection_pool.disconnect(inuse_connections=False)
        self._metrics.bus_round_trips.labels(self.name, kind).inc()
        return await work

    def _answered(self, kind: str) -> None:
        if self._refused is not None:
            refused, since = self._refused
            if refused != kind and self._clock() - since < _REFUSAL_SECONDS:
                return
            self._refused = None
        self._became(up=True)

    def _became(self, *, up: bool) -> None:
        if up != self._told:
            self._told = up
            if up:
                self._logger.info("redis answers")
            else:
                self._logger.warning("redis is of no use", reason=self.trouble)
            self._gauge.set(int(up))
        if up != self.up:
            self.up = up
            self.up_since = self._clock() if up else None


class BusLinks(Sequence[RedisLink]):
    """All links of a process, in the order of its settings."""

    def __init__(self, links: Sequence[RedisLink]) -> None:
        self._links = tuple(links)

    @overload
    def __getitem__(self, index: int) -> RedisLink: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[RedisLink]: ...

    def __getitem__(self, index: int | slice) -> RedisLink | Sequence[RedisLink]:
        return self._links[index]

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[RedisLink]:
        return iter(self._links)

    @property
    def any_up(self) -> bool:
        """At least one answers."""
        return any(link.up for link in self._links)

    @property
    def degraded(self) -> str | None:
        """Which of them do not answer, and why; None when all do."""
        down = [f"redis {link.name}: {link.trouble}" for link in self._links if not link.up]
        return "; ".join(down) or None

    async def close(self) -> None:
        """Drop all connections."""
        await asyncio.gather(*(link.close() for link in self._links))


def open_links(urls: Sequence[str], metrics: Metrics) -> BusLinks:
    """A link to each Redis; nothing is sent yet. Raises UsageError for a URL that is none."""
    return BusLinks([RedisLink(parse_bus(url), metrics) for url in urls])


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _code(error: Exception) -> str:
    """The first word of what a server answers; the client library takes it off some errors."""
    return getattr(error, "status_code", None) or str(error).partition(" ")[0]


def _no_retries() -> Retry:
    return Retry(NoBackoff(), 0)


def _sentinel(address: BusAddress) -> Sentinel | None:
    if address.master is None:
        return None
    how: dict[str, Any] = {
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": SOCKET_SECONDS,
        "username": address.sentinel_login.username,
        "password": address.sentinel_login.password,
        "ssl": address.tls,
        "protocol": 2,
        "driver_info": None,
        "retry": _no_retries(),
    }
    return Sentinel(address.hosts, sentinel_kwargs=how)  # type: ignore[no-untyped-call]


def _client(address: BusAddress, sentinel: Sentinel | None, timeout: float) -> Redis:
    """A pool of connections on which no answer takes longer than `timeout` seconds.

    RESP2: nothing arrives that nobody asked for.
    """
    how: dict[str, Any] = {
        "db": address.db,
        "username": address.login.username,
        "password": address.login.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": SOCKET_SECONDS,
        "max_connections": _CONNECTIONS,
        "protocol": 2,
        "driver_info": None,
        "retry": _no_retries(),
    }
    if sentinel is not None and address.master is not None:
        how["connection_class"] = ManagedSecureConnection if address.tls else ManagedConnection
        client: Redis = sentinel.master_for(address.master, ssl=address.tls, **how)
        return client
    ((host, port),) = address.hosts
    how["connection_class"] = SecureConnection if address.tls else PlainConnection
    return Redis.from_pool(ConnectionPool(host=host, port=port, **how))
