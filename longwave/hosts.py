"""What hosts may do with the replays of their rooms, in every role that lets hosts in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from contracts.errors import LongwaveError
from workers.http_replays import ReplayHandlers

if TYPE_CHECKING:
    from contracts.take import TakeKey
    from longwave.house import House
    from workers.archive.finish import Finisher
    from workers.cluster.directory import Directory
    from workers.ingest import Ingest
    from workers.origin_client import OriginClient

log = structlog.get_logger()


def live_here(ingest: Ingest) -> Callable[[TakeKey], bool]:
    """Says whether a take is live in this process."""

    def is_live(key: TakeKey) -> bool:
        live = ingest.live(key.room)
        return live is not None and live.key == key

    return is_live


def live_anywhere(ingest: Ingest, directory: Directory) -> Callable[[TakeKey], bool]:
    """Says whether a take is live in this process or in another one."""
    here = live_here(ingest)

    def is_live(key: TakeKey) -> bool:
        take = directory.takes.get(key)
        return here(key) or (take is not None and take.memo.ended is None)

    return is_live


class Forgetting:
    """Has origins let go of takes that their host deleted; one out of reach keeps what is in its window."""

    def __init__(self, origins: Callable[[], Iterable[OriginClient]]) -> None:
        self._origins = origins
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, key: TakeKey) -> None:
        """Tell every origin, in the background."""
        for origin in self._origins():
            task = asyncio.create_task(_forget(origin, key), name=f"forget {key.take}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def host_handlers(
    house: House,
    finisher: Finisher,
    *,
    is_live: Callable[[TakeKey], bool],
    forget: Callable[[TakeKey], None],
    changed: Callable[[TakeKey], None] = lambda _: None,
) -> ReplayHandlers:
    """The routes. `changed` is told of each take whose replay is another one now."""
    kept = house.kept
    return ReplayHandlers(kept.objects, kept.hosts, finisher, is_live=is_live, forget=forget, changed=changed)


async def _forget(origin: OriginClient, key: TakeKey) -> None:
    try:
        await origin.forget(key)
    except LongwaveError as error:
        log.warning("an origin keeps a deleted take in its window", origin=origin.name, reason=error.message)
