"""A process among others: its links to the bus, its heartbeats, and the origins that it knows of."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from longwave.running import running
from workers.addresses import check_url
from workers.cluster.nodes import Nodes
from workers.complaints import Complaints
from workers.http_origin import HttpOrigin
from workers.redis_bus.links import open_links

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from contracts.metrics import Metrics
    from longwave.self_report import SelfReport
    from longwave.settings import BusSettings
    from workers.origin_client import OriginClient
    from workers.redis_bus.links import BusLinks

log = structlog.get_logger()

# How long an origin that gives no sign of life is still published to: a restart costs it no connection.
_REMEMBERED_SECONDS: Final = 60.0
# So often it is looked who has given one, however long nothing changes.
_LOOK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """The bus, who else is there, and what this process says of itself."""

    links: BusLinks
    nodes: Nodes
    me: SelfReport

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """Tasks that never return by themselves."""
        return self.nodes.background

    def degraded(self) -> list[str]:
        """What of all this does not work."""
        return [each for each in (self.links.degraded, self.nodes.twin) if each]

    def origins(self) -> list[str]:
        """The URLs of all other origins that are alive.

        One with this URL is this one's past: after a start with an empty disk it has another name.
        """
        own = {"", self.me.url}
        others = (node for node in self.nodes.alive("origin") if node.id != self.me.id)
        return [node.url for node in others if node.url not in own]


@asynccontextmanager
async def joined(settings: BusSettings, me: SelfReport, metrics: Metrics) -> AsyncIterator[Cluster]:
    """Links to every bus of the settings, and heartbeats from now on. In the end this node leaves."""
    links = open_links(settings.bus_urls, metrics)
    nodes = Nodes(links, me)
    nodes.start()
    try:
        yield Cluster(links, nodes, me)
    finally:
        await nodes.stop()
        await links.close()


class KnownOrigins:
    """The origins that this process deals with: `fixed` URLs, and those that gave signs of life lately.

    An answer is one: an origin may have lost its Redis, and its listeners hear on.
    `token` gives what they are shown; `local` is an origin in this process. `clock` is monotonic seconds.
    """

    def __init__(
        self,
        fixed: Sequence[str],
        token: Callable[[], str] | None,
        *,
        local: OriginClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._local = () if local is None else (local,)
        self._token = token
        self._clock = clock
        self._fixed = tuple(_plain(url) for url in fixed)
        self._clients = {url: self._client(url) for url in self._fixed}
        self._seen: dict[str, float] = {}
        self._complaints = Complaints()

    @property
    def clients(self) -> tuple[OriginClient, ...]:
        """All of them."""
        return (*self._local, *self._clients.values())

    def look(self, alive: Sequence[str]) -> bool:
        """Origins at these URLs are `alive`; whether `clients` are others than before."""
        now = self._clock()
        for url in self._seen.keys() & self._clients.keys():
            self._seen[url] = max(self._seen[url], self._clients[url].answered_at)
        self._seen |= dict.fromkeys(filter(self._can_be_asked, map(_plain, alive)), now)
        self._seen = {url: at for url, at in self._seen.items() if now - at < _REMEMBERED_SECONDS}
        wanted = dict.fromkeys((*self._fixed, *self._seen))
        if wanted.keys() == self._clients.keys():
            return False
        before = self._clients
        self._clients = {url: before.get(url) or self._client(url) for url in wanted}
        return True

    def _can_be_asked(self, url: str) -> bool:
        try:
            check_url(url)
        except ValueError as error:
            if self._complaints.admit(url):
                log.warning("an origin cannot be asked there", url=url[:200], reason=str(error))
            return False
        return True

    def _client(self, url: str) -> HttpOrigin:
        return HttpOrigin(url, token=self._token, clock=self._clock)


@asynccontextmanager
async def known_origins(
    cluster: Cluster, token: Callable[[], str] | None
) -> AsyncIterator[tuple[KnownOrigins, asyncio.Task[None]]]:
    """All origins of the cluster, for whoever asks them now and then; clients are closed when they leave.

    With the task that looks for them, which never returns by itself.
    """
    known = KnownOrigins((), token)
    opened: set[OriginClient] = set()

    async def use(clients: Sequence[OriginClient]) -> None:
        left = opened.difference(clients)
        opened.clear()
        opened.update(clients)
        for client in left:
            await client.close()

    try:
        async with running(follow_origins(cluster, known, use), "known origins") as following:
            yield known, following
    finally:
        for client in opened.union(known.clients):
            await client.close()


async def follow_origins(
    cluster: Cluster,
    known: KnownOrigins,
    use: Callable[[Sequence[OriginClient]], Awaitable[None]],
    *,
    every: float = _LOOK_SECONDS,
) -> None:
    """Have every origin that is known used, from now on. Runs until it is cancelled."""
    seen = -1
    while True:
        if known.look(cluster.origins()):
            await use(known.clients)
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                seen = await cluster.nodes.changed(seen)


def unshared(*, shared: bool) -> list[str]:
    """What does not work where each of many processes has a storage of its own."""
    if shared:
        return []
    return ["no storage that all processes share: takes become no replays; set LONGWAVE_STORAGE"]


def _plain(url: str) -> str:
    return url.rstrip("/")
