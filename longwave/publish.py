"""`longwave publish`: plays a file into a room as a live source does.

Time is the sender's clock: what cannot be sent while the server is away is left out, and the sound goes on
where the clock is. So a room that hears a file for an hour hears it for an hour, whatever happens in
between.
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from rich.console import Console

from contracts.errors import DependencyError, LongwaveError, UsageError
from longwave.file_source import FileSource
from longwave.publish_options import PublishOptions
from longwave.publish_places import Places
from longwave.publish_view import QuietView, printable, view_for
from pipeline.decode import duration_samples
from pipeline.grid import SAMPLE_RATE
from workers.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from longwave.publish_view import View

__all__ = ["PublishOptions", "Sender", "publish", "run_publish"]

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
_REDIRECTS: Final = frozenset({307, 308})
_CONNECT_SECONDS: Final = 5.0
# Where another server is there, one that does not answer soon is none.
_CONNECT_ELSE_SECONDS: Final = 1.0
_GO_ON_SECONDS: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
# Another one takes the room over three seconds after its owner died, at the first who asks for it then.
_LONGEST_PAUSE_ELSE: Final = 0.5


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
        self._places = Places(options.endpoints())
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
        self._reading: asyncio.Task[bytes] | None = None
        # What the newest connection was given before it was sure to be let in.
        self._early: list[bytes] = []

    async def run(self) -> None:
        """See `publish`."""
        options = self._options
        # Before anything is sent: a file that cannot be decoded is refused here.
        duration = await asyncio.to_thread(duration_samples, options.file)
        name = printable(options.file.name)
        self._view.begin(f"{name} → {options.room}", None if options.loop else duration)
        headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
        patience = _CONNECT_ELSE_SECONDS if self._places.several else _CONNECT_SECONDS
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience)
        connector = aiohttp.TCPConnector(ssl=self._tls, force_close=True)
        longest = _LONGEST_PAUSE_ELSE if self._places.several else _LONGEST_PAUSE
        began, backoff = self._clock(), Backoff(first=0.2, longest=longest)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            while not self._stop.is_set():
                self._connected_at = self._progress_at = self._clock()
                trouble = await self._connection(session)
                if trouble is None:
                    return
                if self._live_at is None and self._clock() - began > PATIENCE_SECONDS:
                    raise DependencyError(f"{self._places.here.origin()}: {trouble}")
                if self._finished:
                    raise DependencyError(f"the end of the file may not have been heard: {trouble}")
                if self._live_at is not None and self._live_at >= self._connected_at:
                    backoff.reset()
                    self._places.let_in()
                elsewhere = self._places.leave()
                self._view.state(f"{trouble}; trying {self._again()}")
                await self._pause(_GO_ON_SECONDS if elsewhere else backoff.next())

    def _again(self) -> str:
        return str(self._places.here.origin()) if self._places.several else "again"

    # ------------------------------------------------------------ one connection

    async def _connection(self, session: aiohttp.ClientSession) -> str | None:
        """Send until it ends: `None` when there is nothing more to do, else what went wrong."""
        self._early = []
        sending = asyncio.create_task(self._put(session))
        # Who has only one server waits for it.
        signs = self._places.silent(session) if self._places.several else asyncio.sleep(math.inf)
        silent = asyncio.create_task(signs)
        try:
            while not sending.done():
                both: set[asyncio.Future[Any]] = {sending, silent}
                await asyncio.wait(both, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                if self._stop.is_set() and self._clock() - self._progress_at > 1.0:
                    return None
                if not sending.done() and silent.done():
                    return "the server gives no sign of life"
                if not sending.done() and self._clock() - self._progress_at > STALL_SECONDS:
                    return "the server takes nothing any more"
            return sending.result()
        finally:
            for task in (sending, silent):
                task.cancel()
            await asyncio.gather(sending, silent, return_exceptions=True)

    async def _put(self, session: aiohttp.ClientSession) -> str | None:
        try:
            status, answer, location = await self._exchange(session)
            while status in _REDIRECTS and self._places.follow(location):
                status, answer, location = await self._exchange(session)
        except (aiohttp.ClientError, OSError, LongwaveError) as error:  # TimeoutError is an OSError
            if self._broken is not None:
                raise self._broken from None
            return f"no connection ({printable(str(error)) or type(error).__name__})"
        if status < 300:
            if not self._finished and not self._stop.is_set():
                self._view.state("the server wants no more")
            return None
        return self._refused(status, answer)

    async def _exchange(self, session: aiohttp.ClientSession) -> tuple[int, str, str | None]:
        """Status, body and Location of what a server answers."""
        async with session.put(self._places.here, data=self._body(), allow_redirects=False) as response:
            return response.status, await response.text(errors="replace"), response.headers.get("Location")

    def _refused(self, status: int, answer: str) -> str:
        """What to try again after. Raises UsageError where that is no use, LongwaveError at a take's end."""
        said = _said(answer)
        message = printable(str(said.get("error", ""))[:500] or f"the server answers {status}")
        if status >= 500 or status in _RETRIED:
            return message
        if status == 409 and self._live_at is not None:
            if said.get("ended") is True or self._live_at >= self._connected_at:
                # Connecting again would begin another take, which is not for us to decide.
                raise LongwaveError(f"{self._options.room}: {message}")
            if self._clock() - self._live_at < REPLACED_SECONDS:
                return message
        raise UsageError(f"{self._options.room}: {message}")

    async def _body(self) -> AsyncIterator[bytes]:
        """PCM by the clock, a little ahead of it."""
        if self._started is None:
            self._started = self._clock()
        self._finished = False
        # A server that sends us on has taken nothing of this.
        for pcm in self._early:
            yield pcm
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
            if self._clock() - self._connected_at <= ADMITTED_SECONDS:
                self._early.append(pcm)
            yield pcm

    async def _read(self) -> bytes:
        # A connection that breaks off meanwhile leaves the read to the next one: what is read is not lost.
        if self._reading is None:
            self._reading = asyncio.create_task(self._source.read(CHUNK))
        try:
            pcm = await asyncio.shield(self._reading)
        except LongwaveError as error:
            self._broken = error  # aiohttp would make a failed connection of it
            raise
        self._reading = None
        return pcm

    # ------------------------------------------------------------ time

    def _due(self) -> int:
        """The sample that sounds now."""
        return 0 if self._started is None else int((self._clock() - self._started) * SAMPLE_RATE)

    async def _catch_up(self) -> None:
        """Go on where the clock is: a live source does not wait for its listeners."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        missed = self._due() - self._source.position
        if missed > LATE // 10:
            # What was read for a connection that broke is as late as what comes after it.
            self._reading = None
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


def _said(answer: str) -> dict[str, Any]:
    """The members of the JSON line that a server answers; none where it is no such line."""
    try:
        body = json.loads(answer)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
