"""The archives of all takes of a process: of those that are live, and of those that a process before left."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import DiskUnavailable, LongwaveError, ObjectDamaged
from workers.archive.reading import known_header
from workers.archive.spool import PATIENCE, Spool
from workers.archive.take_archive import TakeArchive
from workers.archive.threads import Threads
from workers.archive.tools import Tools
from workers.archive.uploads import Uploads
from workers.archive.windows import Windows
from workers.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from contracts.metrics import Metrics
    from contracts.take import TakeHeader, TakeKey
    from storage.objects import Objects
    from workers.archive.spool_take import SpoolTake
    from workers.archive.tools import Finish
    from workers.origin_client import OriginClient
    from workers.parts_log import TakeLog

log = structlog.get_logger()

_READERS: Final = 4
_FINISHERS: Final = 2


class Archiver:
    """Archives into `objects`, through a spool of at most `spool_bytes` in `spool_dir`.

    What this node did not encode is asked of `origins`. `finish` is called in a thread for each take that is
    over and stored, and again while it raises a LongwaveError. `kept_here` says of a take that this process
    is yet to tell its story. `patience` is how many seconds an encoder waits for the disk at most; `clock` is
    monotonic.
    """

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        objects: Objects,
        spool_dir: Path,
        spool_bytes: int,
        metrics: Metrics,
        *,
        finish: Finish,
        kept_here: Callable[[TakeKey], bool] = lambda _: False,
        origins: Sequence[OriginClient] = (),
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = Spool(spool_dir, spool_bytes, metrics, patience=patience, clock=clock)
        self._tools = Tools(
            objects=objects,
            spool=self._spool,
            uploads=Uploads(metrics, clock),
            windows=Windows(origins),
            files=Threads(_READERS, "spool-read"),
            finishing=Threads(_FINISHERS, "finish"),
            finish=finish,
            kept_here=kept_here,
            metrics=metrics,
            clock=clock,
        )
        self._metrics = metrics
        self._archives: dict[TakeKey, TakeArchive] = {}
        self._tasks: dict[TakeKey, asyncio.Task[None]] = {}
        self._unknown: dict[TakeKey, asyncio.Task[None]] = {}
        self._survey: asyncio.Task[None] | None = None
        metrics.archive_lag.set_function(
            lambda: max((each.lag for each in self._archives.values()), default=0)
        )

    @property
    def degraded(self) -> str | None:
        """What is wrong, in a few words, or None."""
        if self._spool.degraded is not None:
            return self._spool.degraded
        trouble = self._tools.uploads.degraded
        return None if trouble is None else f"archive: {trouble}"

    @property
    def working(self) -> frozenset[TakeKey]:
        """The takes that are archived here, or will be: nobody else need look after them."""
        return frozenset(self._archives) | self._unknown.keys()

    def start(self, live: Callable[[], Collection[TakeKey]] = tuple) -> None:
        """Start. What the last process left of takes that are not `live` is archived and finished too.

        To be called when the takes that go on are known, and before any of them is encoded.
        """
        self._spool.start()
        self._survey = asyncio.create_task(self._take_over(live), name="survey of the spool")

    async def surveyed(self) -> None:
        """Return when somebody looks after each take that the last process left in the spool."""
        if self._survey is not None:
            await asyncio.shield(self._survey)

    def open(self, take_log: TakeLog) -> TakeArchive:
        """The archive of a live take, from what its log begins with on."""
        key = take_log.key
        archive = self._archives.get(key)
        if archive is not None and archive.take_log is take_log:
            return archive
        archive = TakeArchive(self._tools, self._spool.take(key), take_log.header, take_log)
        self._follow(key, archive)
        return archive

    def release(self, key: TakeKey) -> None:
        """Somebody else archives the rest of a take: store what was kept of it, and do not finish it.

        What this node has of the last fragment is stored too: whoever commits the take joins it with the
        other's (`joining`). A take that is opened again meanwhile goes on.
        """
        archive = self._archives.get(key)
        if archive is not None and archive.take_log is not None and not archive.released:
            self._follow(key, archive.release())

    def set_origins(self, origins: Sequence[OriginClient]) -> None:
        """Ask these from now on for what this node did not encode."""
        self._tools.windows.origins = tuple(origins)

    async def stop(self, grace: float = 1.0) -> None:
        """Give takes that are over `grace` seconds to be finished; what is in the spool then stays there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                saves = (archive.save() for archive in self._archives.values())
                await asyncio.gather(*saves, return_exceptions=True)
                while any(archive.ended for archive in self._archives.values()):  # noqa: ASYNC110 - once
                    await asyncio.sleep(0.02)
        tasks = [
            *self._tasks.values(),
            *self._unknown.values(),
            *([] if self._survey is None else [self._survey]),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tools.uploads.close()
        self._tools.files.close()
        self._tools.finishing.close()
        await asyncio.to_thread(self._spool.close)

    # ---- inside ------------------------------------------------------------------------------------------

    async def _take_over(self, live: Callable[[], Collection[TakeKey]]) -> None:
        for spooled, header in await self._left():
            room, take = spooled.key
            if spooled.key in live() or spooled.key in self._archives:
                continue
            log.info("the spool has a take that is not live", room=room, take=take)
            if header is None:
                self._unknown[spooled.key] = asyncio.create_task(self._identify(spooled))
            else:
                self._follow(spooled.key, TakeArchive(self._tools, spooled, header))

    async def _identify(self, spooled: SpoolTake) -> None:
        """Take over what lies in the spool without its header, which the storage has as well."""
        key, uploads = spooled.key, self._tools.uploads
        read = partial(known_header, self._tools.objects, key)
        try:
            header = await uploads.run(partial(uploads.in_thread, read))
        except LongwaveError as error:
            log.error("nobody knows what take this was", spool=f"{key.room}/{key.take}", reason=error.message)  # noqa: TRY400
            return
        finally:
            del self._unknown[key]
        if key not in self._archives:
            self._follow(key, TakeArchive(self._tools, spooled, header))

    async def _left(self) -> list[tuple[SpoolTake, TakeHeader | None]]:
        backoff = Backoff(first=0.5, longest=15.0)
        while True:
            try:
                # In the writer's order: nothing is written before it is known what is there.
                return await self._spool.do(self._surveyed)
            except DiskUnavailable as error:
                log.warning("the spool cannot be read", reason=error.message)
            await asyncio.sleep(backoff.next())

    def _surveyed(self) -> list[tuple[SpoolTake, TakeHeader | None]]:
        return [(take, take.header()) for take in self._spool.survey()]

    def _follow(self, key: TakeKey, archive: TakeArchive) -> None:
        before = self._tasks.get(key)
        if before is not None:
            before.cancel()
        self._archives[key] = archive
        task = asyncio.create_task(self._run(key, archive, before), name=f"archive {key.room}/{key.take}")
        self._tasks[key] = task
        task.add_done_callback(partial(self._forget, key))

    async def _run(self, key: TakeKey, archive: TakeArchive, before: asyncio.Task[None] | None) -> None:
        """Archive one take to its end; what fails here concerns no other take."""
        if before is not None:
            await asyncio.wait([before])
        backoff = Backoff(first=0.5, longest=30.0)
        said = ""
        while True:
            try:
                await archive.run()
            except ObjectDamaged as error:
                if error.message != said:
                    log.error("a take cannot be archived", room=key.room, take=key.take, reason=error.message)  # noqa: TRY400
                said = error.message
            except Exception:
                self._metrics.unexpected_errors.labels("archive").inc()
                log.exception("the archive of a take failed: it starts again", room=key.room, take=key.take)
            else:
                return
            await asyncio.sleep(backoff.next())

    def _forget(self, key: TakeKey, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
            del self._archives[key]
            self._spool.forget(key)
