"""The archive's part of a process: what is said is kept, and becomes a replay when its take is over."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from storage.pooled import Pooled
from workers.archive.archiver import Archiver
from workers.archive.finish import Finisher
from workers.archive.orphans import Orphans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from contracts.metrics import Metrics
    from contracts.take import TakeKey
    from longwave.serve_replays import Kept
    from longwave.settings import EncodingSettings
    from workers.bus import BusTakes
    from workers.origin_client import OriginClient

_SWEEP_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Archive:
    """Who keeps what is encoded, and who makes a replay of it."""

    archiver: Archiver
    finisher: Finisher


def archive_of(
    settings: EncodingSettings,
    kept: Kept,
    metrics: Metrics,
    origins: Sequence[OriginClient],
    kept_here: Callable[[TakeKey], bool],
) -> Archive:
    """The archive of this process; what it did not encode itself it asks of `origins`.

    The story of what is `kept_here` is told by this process.
    """
    finisher = Finisher(kept.objects, metrics, clock=time.time)
    archiver = Archiver(
        kept.objects,
        settings.data_dir / "spool",
        settings.spool_mb * 2**20,
        metrics,
        finish=finisher.finish,
        kept_here=kept_here,
        origins=origins,
    )
    return Archive(archiver, finisher)


@asynccontextmanager
async def sweeping(
    archive: Archive, kept: Kept, takes: BusTakes, *, shared: bool
) -> AsyncIterator[asyncio.Task[None]]:
    """Look after takes that somebody left unfinished, from now on and every minute. Gives the task."""

    def kept_here(key: TakeKey) -> bool:
        return key in archive.archiver.working or any(bus.key == key for bus in takes.live())

    orphans = Orphans(kept.objects, archive.finisher, kept_here, shared=shared)
    pooled = Pooled(threads=1)
    task = asyncio.create_task(_sweep(archive.archiver, orphans, pooled), name="orphans")
    try:
        yield task
    finally:
        pooled.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _sweep(archiver: Archiver, orphans: Orphans, pooled: Pooled) -> None:
    # What lies in the spool is not finished without it.
    await archiver.surveyed()
    while True:
        await pooled.call(orphans.sweep, time.time())
        await asyncio.sleep(_SWEEP_SECONDS)
