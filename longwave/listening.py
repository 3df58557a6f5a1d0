"""Opening a port for an aiohttp app, and closing it again: what every role with HTTP does the same way."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from contracts.errors import DependencyError, DiskUnavailable, LongwaveError
from longwave.door import Door, cannot_listen, door
from longwave.machine import open_all_files
from origin.connection import OriginRunner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from contracts.metrics import Metrics
    from longwave.settings import HttpSettings

log = structlog.get_logger()

# Listeners arrive in crowds: the moment after a part's release thousands of them connect.
_BACKLOG: Final = 4096
# What the requests in hand get to finish when the server is told to stop.
_SHUTDOWN_SECONDS: Final = 2.0
# What threads get to finish when everything else is done.
_HUNG_SECONDS: Final = 1.0


@asynccontextmanager
async def listening(
    app: web.Application, settings: HttpSettings, metrics: Metrics, through: Door | None = None
) -> AsyncIterator[str]:
    """Serve `app` and give its base URL. Raises UsageError (TLS) and DependencyError (the port)."""
    tls = settings.ssl_context()
    open_all_files()
    runner = OriginRunner(
        app,
        metrics,
        access_log=None,
        handler_cancellation=True,  # a listener that leaves while it is blocked is forgotten at once
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=75,
        # Nobody is taken by the word that a body is compressed: not even what is thrown away is unpacked.
        auto_decompress=False,
    )
    await runner.setup()
    metrics.connections.set_function(lambda: len(runner.server.connections) if runner.server else 0)
    try:
        with ExitStack() as stack:
            place = through or stack.enter_context(door(settings))
            for bound in place.sockets:
                try:
                    await web.SockSite(runner, bound, ssl_context=tls, backlog=_BACKLOG).start()
                except OSError as error:
                    raise DependencyError(cannot_listen(settings, error)) from None
            yield place.url
    finally:
        await runner.cleanup()


@contextmanager
def data_directory(path: Path) -> Iterator[None]:
    """Make `path`, see that it can be written to, and keep others out of it. Raises DiskUnavailable."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DiskUnavailable(f"the data directory {path} cannot be used: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DiskUnavailable(
                f"the data directory {path} is in use by another Longwave: choose another --data-dir"
            ) from None
        yield
    finally:
        os.close(lock)


async def stopped(background: Iterable[asyncio.Task[None]]) -> None:
    """Return at SIGINT or SIGTERM. A second one ends the process the hard way.

    Raises RoleFailed when one of the `background` tasks is over, which never is by itself: a server that has
    lost its clock is better started again by whoever supervises it than left to look alive. Where what a task
    needs is gone it says so itself: that is its DependencyError.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    told = asyncio.create_task(stop.wait(), name="stop signal")
    try:
        done, _ = await asyncio.wait([told, *background], return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
    for task in done - {told}:
        reason = _reason(task)
        if isinstance(reason, DependencyError):
            raise reason
        log.error("a task that runs for ever is over", task=task.get_name(), exc_info=reason)
        raise RoleFailed(f"an error of ours ended '{task.get_name()}': see the log; start Longwave again")


def leave() -> None:
    """End a process that is done; nobody waits for threads that a storage or a disk holds.

    Python would wait for them, for as long as the last try of each takes.
    """
    deadline = time.monotonic() + _HUNG_SECONDS
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    for each in others:
        if not each.daemon:
            each.join(max(0.0, deadline - time.monotonic()))
    if any(each.is_alive() and not each.daemon for each in others):
        log.warning("the storage or the disk hangs: it is not waited for")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class RoleFailed(LongwaveError):
    """A part of this process is dead that all others need: exit code 1."""


def _reason(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
