"""`longwave publish`: plays a file into a room as a live source does.

Time is the sender's clock: what cannot be sent while the server is away is left out, and the sound goes on
where the clock is. So a room that hears a file for an hour hears it for an hour, whatever happens in
between.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from rich.console import Console
from yarl import URL

from contracts.errors import BadRequest, DependencyError, LongwaveError, UsageError
from contracts.ids import check_room, check_speaker
from longwave.file_source import FileSource
from longwave.publish_view import QuietView, printable, view_for
from pipeline.decode import duration_samples
from pipeline.grid import SAMPLE_RATE
from workers.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from longwave.publish_view import View

CHUNK: Final = SAMPLE_RATE // 10
# Sent ahead of the clock: more than the 200 ms that the server buffers before it starts.
LEAD: Final = SAMPLE_RATE * 3 // 10
# A sender that is later than this leaves sound out instead of catching up: the server would drop it.
LATE: Final = SAMPLE_RATE
# A connection that takes nothing for so long is dead, even if nobody closed it.
STALL_SECONDS: Final = 10.0
# A server that never answered at all is probably not there; one that did is waited for.
PATIENCE_SECONDS: Final = 10.0
# A refusal comes at once: a connection that lasts longer has been let in.
ADMITTED_SECONDS: Final = 1.0
# How long a server may go on believing in a connection of ours that broke.
REPLACED_SECONDS: Final = 40.0
_RETRIED: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What to play and where. `ca` is a file of certificates (PEM) to check an https server against."""

    file: Path
    room: str
    url: str = "http://127.0.0.1:8080"
    token: str | None = None
    speaker: str | None = None
    channels: int = 1
    loop: bool = False
    ca: Path | None = None

    def endpoint(self) -> URL:
        """`PUT` goes here. Raises UsageError."""
        try:
            check_room(self.room)
            if self.speaker is not None:
                check_speaker(self.speaker)
            base = URL(self.url)
        except (BadRequest, ValueError) as error:
            raise UsageError(str(error)) from None
        if base.scheme not in {"http", "https"} or not base.host:
            raise UsageError(f"--url: {printable(self.url)} is not like http://127.0.0.1:8080")
        if self.channels not in {1, 2}:
            raise UsageError("--channels: 1 or 2")
        query = {"channels": str(self.channels)} | ({"speaker": self.speaker} if self.speaker else {})
        return base / "pcm" / self.room % query

    def tls(self) -> ssl.SSLContext | bool:
        """How an https server is checked. Raises UsageError."""
        if self.ca is None:
            return True
        try:
            return ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise UsageError(f"--ca: cannot use {self.ca}: {error}") from None


def run_publish(options: PublishOptions) -> None:
    """Play a file and show how it goes. Raises UsageError (exit code 2) or another LongwaveError (1)."""
    asyncio.run(_publish_until_signal(options))


async def _publish_until_signal(options: PublishOptions) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with view_for(Console()) as view:
        await publish(options, view, stop)


async def publish(
    options: PublishOptions, view: View | None = None, stop: asyncio.Event | None = None
) -> None:
    """Play the file to its end, or until `stop` is set.

    Raises UsageError for what trying again cannot help, LongwaveError when the take is ended meanwhile, and
    DependencyError when no server answers.
    """
    await Sender(options, view or QuietView(), stop or asyncio.Event()).run()


class Sender:
    """One file on its way into one room, over as many connections as it takes; `clock` is monotonic."""

    def __init__(
        self,
        options: PublishOptions,
        view: View,
        stop: asyncio.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._endpoint = options.endpoint()
        self._tls = options.tls()
        self._view = view
        self._stop = stop
        self._clock = clock
        self._source = FileSource(options.file, options.channels, loop=options.loop)
        self._started: float | None = None
        self._progress_at = clock()
        self._connected_at = clock()
        self._live_at: float | None = None
        self._finished = False
        self._broken: LongwaveError | None = None

    async def run(self) -> None:
        """See `publish`."""
        options = self._options
        # Before anything is sent: a file that cannot be decoded is refused here.
        duration = await asyncio.to_thread(duration_samples, options.file)
        name = printable(options.file.name)
        self._view.begin(f"{name} → {options.room}", None if options.loop else duration)
        headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
        connector = aiohttp.TCPConnector(ssl=self._tls, force_close=True)
        began, backoff = self._clock(), Backoff(first=0.2, longest=2.0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            while not self._stop.is_set():
                self._connected_at = self._progress_at = self._clock()
                trouble = await self._connection(session)
                if trouble is None:
                    return
                if self._live_at is None and self._clock() - began > PATIENCE_SECONDS:
                    raise DependencyError(f"{self._endpoint.origin()}: {trouble}")
                if self._finished:
                    raise DependencyError(f"the end of the file may not have been heard: {trouble}")
                if self._live_at is not None and self._live_at >= self._connected_at:
                    backoff.reset()
                self._view.state(f"{trouble}; trying again")
                await self._pause(backoff.next())

    # ------------------------------------------------------------ one connection

    async def _connection(self, session: aiohttp.ClientSession) -> str | None:
        """Send until it ends: `None` when there is nothing more to do, else what went wrong."""
        sending = asyncio.create_task(self._put(session))
        try:
            while not (await asyncio.wait({sending}, timeout=0.5))[0]:
                if self._clock() - self._progress_at > STALL_SECONDS:
                    return "the server takes nothing any more"
                if self._stop.is_set() and self._clock() - self._progress_at > 1.0:
                    return None
            return sending.result()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _put(self, session: aiohttp.ClientSession) -> str | None:
        try:
            async with session.put(self._endpoint, data=self._body(), allow_redirects=False) as response:
                answer = await response.text(errors="replace")
                status = response.status
        except (aiohttp.ClientError, OSError, LongwaveError) as error:  # TimeoutError is an OSError
            if self._broken is not None:
                raise self._broken from None
            return f"no connection ({printable(str(error)) or type(error).__name__})"
        if status < 300:
            if not self._finished and not self._stop.is_set():
                self._view.state("the server wants no more")
            return None
        return self._refused(status, answer)

    def _refused(self, status: int, answer: str) -> str:
        """What to try again after. Raises UsageError where that is no use, LongwaveError at a take's end."""
        message = printable(_message(answer) or f"the server answers {status}")
        if status >= 500 or status in _RETRIED:
            return message
        if status == 409 and self._live_at is not None:
            if self._live_at >= self._connected_at:
                # Connecting again would begin another take, which is not for us to decide.
                raise LongwaveError(f"{self._options.room}: {message}")
            if self._clock() - self._live_at < REPLACED_SECONDS:
                return message
        raise UsageError(f"{self._options.room}: {message}")

    async def _body(self) -> AsyncIterator[bytes]:
        """PCM by the clock, a little ahead of it."""
        if self._started is None:
            self._started = self._clock()
        await self._catch_up()
        while not self._stop.is_set():
            ahead = self._source.position - LEAD - self._due()
            if ahead > 0:
                await self._pause(ahead / SAMPLE_RATE)
            elif ahead < -LEAD - LATE:
                await self._catch_up()
            pcm = await self._read()
            self._progressed()
            if not pcm:
                self._finished = True
                self._view.state("finished")
                return
            yield pcm

    async def _read(self) -> bytes:
        try:
            return await self._source.read(CHUNK)
        except LongwaveError as error:
            self._broken = error  # aiohttp would make a failed connection of it
            raise

    # ------------------------------------------------------------ time

    def _due(self) -> int:
        """The sample that sounds now."""
        return 0 if self._started is None else int((self._clock() - self._started) * SAMPLE_RATE)

    async def _catch_up(self) -> None:
        """Go on where the clock is: a live source does not wait for its listeners."""
        missed = self._due() - self._source.position
        if missed > LATE // 10:
            await self._source.skip(missed)
            self._view.state(f"{missed / SAMPLE_RATE:.1f} s were not heard")

    def _progressed(self) -> None:
        now = self._clock()
        self._progress_at = now
        self._view.position(self._source.position)
        if now - self._connected_at > ADMITTED_SECONDS:
            if self._live_at is None or self._live_at < self._connected_at:
                self._view.state("live")
            self._live_at = now

    async def _pause(self, seconds: float) -> None:
        """Sleep, or wake early to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return


def _message(answer: str) -> str:
    """What a server says is wrong: the `error` of its JSON line."""
    try:
        body = json.loads(answer)
    except ValueError:
        return ""
    return str(body.get("error", ""))[:500] if isinstance(body, dict) else ""
