"""What an edge's program counts itself: requests of clients, and those that it sent to origins."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final, NamedTuple

import aiohttp
import structlog

from longwave.edge.metrics import Threads, Totals

log = structlog.get_logger()

LOOK_SECONDS: Final = 2.0
COMPLAIN_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 2.0
# How a request of a client may go. MAIN.client_req counts whoever has waited for another one's answer twice.
_ANSWERED: Final = ("MAIN.cache_hit", "MAIN.cache_miss", "MAIN.s_pass", "MAIN.s_pipe", "MAIN.s_synth")
_THREADS: Final = ("MAIN.threads", "MAIN.thread_queue_len", "MAIN.threads_limited")
_DROPPED: Final = ("MAIN.sess_dropped", "MAIN.req_dropped")
_COUNTERS: Final = (
    *(*_ANSWERED, "MAIN.backend_req", "MAIN.backend_fail"),
    *(*_THREADS, *_DROPPED, "MAIN.pools"),
)
# "server accepts handled requests", and three numbers below it.
_STUB_STATUS: Final = re.compile(r"requests\s+\d+\s+\d+\s+(\d+)")


class Counted(NamedTuple):
    """Since the program started; None where it does not count them."""

    clients: int
    origins: int | None
    failures: int | None
    threads: Threads | None = None


class Nginx:
    """nginx, by the socket where its stub_status answers."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._own = 0

    async def look(self) -> Counted:
        """Raises OSError, ValueError."""
        connector = aiohttp.UnixConnector(self._socket)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get("http://nginx/") as answer,
            ):
                found = _STUB_STATUS.search(await answer.text())
        except aiohttp.ClientError as error:
            raise OSError(str(error)) from None
        if found is None:
            raise ValueError("that is no stub_status")
        # Its own requests are among them.
        self._own += 1
        return Counted(max(0, int(found[1]) - self._own), None, None)


class Varnish:
    """Varnish, by its working directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._pool_max: int | None = None

    async def look(self) -> Counted:
        """Raises OSError, ValueError."""
        if self._pool_max is None:
            self._pool_max = await self._ask_pool_max()
        fields = (word for name in _COUNTERS for word in ("-f", name))
        return parse_varnishstat(await self._ask("varnishstat", "-j", "-t", "1", *fields), self._pool_max)

    async def _ask_pool_max(self) -> int | None:
        """How many threads each of its pools may have; None where it does not tell who runs this."""
        try:
            return parse_parameter(
                await self._ask("varnishadm", "-t", "1", "param.show", "-j", "thread_pool_max")
            )
        except (OSError, ValueError):
            return None

    async def _ask(self, program: str, *words: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(program, "-n", self._directory, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                text, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return text


def parse_varnishstat(text: bytes, pool_max: int | None = None) -> Counted:
    """`varnishstat -j`, of a Varnish each of whose pools may have `pool_max` threads. Raises ValueError."""
    match json.loads(text):
        case {"counters": dict(counters)}:
            value = {name: _value(counters, name) for name in _COUNTERS}
        case _:
            raise ValueError("that is no varnishstat")
    running, queued, limited = (value[name] for name in _THREADS)
    most = None if pool_max is None else pool_max * value["MAIN.pools"]
    return Counted(
        sum(value[name] for name in _ANSWERED),
        value["MAIN.backend_req"],
        value["MAIN.backend_fail"],
        Threads(running, most, queued, limited, sum(value[name] for name in _DROPPED)),
    )


def parse_parameter(text: bytes) -> int:
    """The value that `varnishadm param.show -j` tells of. Raises ValueError."""
    match json.loads(text):
        case [*_, {"value": int(value)}]:
            return value
        case _:
            raise ValueError("that is no parameter of Varnish")


def _value(counters: dict[str, Any], name: str) -> int:
    match counters.get(name):
        case {"value": int(value)}:
            return value
        case _:
            raise ValueError(f"varnishstat says nothing of {name}")


async def look_for_ever(program: Nginx | Varnish, totals: Totals) -> None:
    """Keep `totals` as `program` counts."""
    trouble = False
    while True:
        try:
            counted = await program.look()
        except (OSError, ValueError, TimeoutError) as error:
            if not trouble:
                log.warning("the edge's own numbers cannot be had", reason=str(error))
            trouble = True
        else:
            trouble = False
            totals.clients = counted.clients
            totals.threads = counted.threads
            if counted.origins is not None:
                totals.origins, totals.failures = counted.origins, counted.failures
        await asyncio.sleep(LOOK_SECONDS)


async def complain_for_ever(totals: Totals) -> None:
    """Say it when origins fail, once in `COMPLAIN_SECONDS`: the edge itself logs no request."""
    before = 0
    while True:
        failures = totals.failures or 0
        if failures > before:
            log.warning("origins gave no answer, or 5xx", requests=failures - before)
        before = failures
        await asyncio.sleep(COMPLAIN_SECONDS)
