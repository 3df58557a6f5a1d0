"""The encoding side of a process among others: which takes it encodes, and where their sound comes from."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from longwave.cluster import follow_origins
from longwave.encoding import Work, encoding
from longwave.running import running
from workers.cluster.carrying import Carrying
from workers.cluster.directory import Directory
from workers.cluster.failure_reports import FailureReports
from workers.quarantine import Quarantine, survey_crashes
from workers.reach import Reach
from workers.redis_bus.mirrors import Mirrors
from workers.redis_bus.reader import BusReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from contracts.metrics import Metrics
    from contracts.take import TakeKey
    from longwave.cluster import Cluster, KnownOrigins
    from longwave.encoding import Encoding
    from longwave.serve_replays import Kept
    from longwave.settings import EncodingSettings

# Supervisors give half a minute, a spot instance two; what is left of that is for the archive.
_HAND_OVER_SECONDS: Final = 20.0


class _Running(Protocol):
    """What runs from `start` to `stop`."""

    def start(self) -> None: ...

    def stop(self) -> Awaitable[None]: ...

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]: ...


class _MayBeDegraded(Protocol):
    """Something that says what of it does not work."""

    @property
    def degraded(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class CarriedTakes:
    """The takes that this process encodes among others, and its tasks that never return."""

    encoding: Encoding
    directory: Directory
    quarantine: Quarantine
    background: tuple[asyncio.Task[None], ...]
    _carrying: Carrying
    _reach: Reach
    _readers: Sequence[BusReader]

    async def hand_over(self) -> None:
        """Leave every take to other workers; returns when they have them, or 20 s later."""
        await self._carrying.drain(_HAND_OVER_SECONDS)

    def degraded(self) -> list[str]:
        """What does not work although live audio does."""
        archiver = self.encoding.archive.archiver
        sides: tuple[_MayBeDegraded, ...] = (archiver, self.quarantine, self._reach, *self._readers)
        return [trouble for side in sides if (trouble := side.degraded)]


@asynccontextmanager
async def carried_takes(
    settings: EncodingSettings, cluster: Cluster, kept: Kept, metrics: Metrics, origins: KnownOrigins
) -> AsyncIterator[CarriedTakes]:
    """Encode this process' share of all takes, from now on."""
    links, mirrors = cluster.links, Mirrors()
    directory, reports = Directory(links), FailureReports(links, cluster.me.id, time.monotonic)
    readers = [BusReader(link, mirrors, metrics) for link in links]
    quarantine = await _quarantine(settings, metrics, directory, reports)
    async with AsyncExitStack() as stack:
        tasks = [*_run(stack, reports), *_run(stack, directory)]
        for reader in readers:
            tasks += _run(stack, reader)
        work = Work(mirrors, quarantine, kept, metrics)
        encoder = await stack.enter_async_context(encoding(settings, work, origins.clients))
        carrying = Carrying(
            cluster.me.id,
            cluster.nodes,
            directory,
            mirrors,
            encoder.publisher,
            metrics,
            redundancy=settings.redundancy,
            # What the last process died of may be the next thing that is taken up.
            ready=reports.told,
        )
        reach = Reach(encoder.publisher, metrics)
        cluster.me.carrying = lambda: carrying.carrying
        cluster.me.out_of_reach = lambda: reach.out
        tasks += [*encoder.background, *_run(stack, carrying), *_run(stack, reach)]
        following = follow_origins(cluster, origins, encoder.set_origins)
        tasks.append(await stack.enter_async_context(running(following, "origins")))
        for reader in readers:
            waking = _wake(reader, directory)
            tasks.append(await stack.enter_async_context(running(waking, "changes")))
        yield CarriedTakes(encoder, directory, quarantine, tuple(tasks), carrying, reach, readers)


async def _quarantine(
    settings: EncodingSettings, metrics: Metrics, directory: Directory, reports: FailureReports
) -> Quarantine:
    """What is dangerous to encode, as all nodes know; they are told what the last process died of."""
    crashes = await asyncio.to_thread(survey_crashes, settings.data_dir, time.monotonic())
    for key in crashes.takes:
        reports.add(key, crashed=True)

    def elsewhere(key: TakeKey) -> bool:
        take = directory.takes.get(key)
        return take is not None and take.failures.condemned

    return Quarantine(
        metrics, time.monotonic, counted=crashes.counted, elsewhere=elsewhere, report=reports.add
    )


async def _wake(reader: BusReader, directory: Directory) -> None:
    """Look at what lives as soon as Redis says that it changed. Runs until it is cancelled."""
    seen = reader.changes.version
    while True:
        seen = await reader.changes.changed(seen)
        directory.wake()


def _run(stack: AsyncExitStack, part: _Running) -> Sequence[asyncio.Task[None]]:
    part.start()
    stack.push_async_callback(part.stop)
    return part.background
