"""The encoding side of a process: from takes on a bus to parts at origins, and to the archive."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longwave.serve_archive import archive_of, sweeping
from origin.service import OriginLimits
from workers.publisher import Publisher
from workers.transcoder_pool import TranscoderPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from contracts.metrics import Metrics
    from contracts.take import TakeKey
    from longwave.serve_archive import Archive
    from longwave.serve_replays import Kept
    from longwave.settings import EncodingSettings
    from workers.bus import BusTakes
    from workers.origin_client import OriginClient
    from workers.quarantine import Quarantine


@dataclass(frozen=True, slots=True)
class Work:
    """What is encoded: every take of `takes`, but those that `quarantine` holds.

    `tells` says of a take that its story is told by this process. `kept` is where it is archived.
    """

    takes: BusTakes
    quarantine: Quarantine
    kept: Kept
    metrics: Metrics
    tells: Callable[[TakeKey], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class Encoding:
    """Whoever encodes, publishes and archives in this process."""

    publisher: Publisher
    pool: TranscoderPool
    archive: Archive
    background: tuple[asyncio.Task[None], ...]

    async def set_origins(self, origins: Sequence[OriginClient]) -> None:
        """Publish to these from now on, and ask these for what others encoded."""
        self.archive.archiver.set_origins(origins)
        await self.publisher.set_origins(origins)


@asynccontextmanager
async def encoding(
    settings: EncodingSettings, work: Work, origins: Sequence[OriginClient]
) -> AsyncIterator[Encoding]:
    """Encode and publish from now on; in the end, whatever is encoded is published and kept."""
    takes, metrics = work.takes, work.metrics
    limits = OriginLimits(window_seconds=settings.window_seconds)
    publisher = Publisher(origins, metrics, window_segments=limits.window_segments)
    archive = archive_of(settings, work.kept, metrics, origins, work.tells)
    archiver = archive.archiver
    pool = TranscoderPool(
        takes,
        publisher,
        metrics,
        threads=settings.encoder_threads,
        archiver=archiver,
        quarantine=work.quarantine,
    )
    archiver.start(lambda: {bus.key for bus in takes.live()})
    pool.start()
    try:
        async with sweeping(archive, work.kept, takes, shared=settings.shares_storage) as orphans:
            yield Encoding(publisher, pool, archive, (*pool.background, orphans))
    finally:
        await pool.stop()
        await archiver.stop()
        await publisher.stop()
