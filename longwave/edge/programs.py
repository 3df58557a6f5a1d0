"""What an edge's program counts itself: requests of clients, and those that it sent to origins."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final, NamedTuple

import aiohttp
import structlog

from longwave.edge.metrics import Totals

log = structlog.get_logger()

LOOK_SECONDS: Final = 2.0
COMPLAIN_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 2.0
# How a request of a client may go. MAIN.client_req counts whoever has waited for another one's answer twice.
_ANSWERED: Final = ("MAIN.cache_hit", "MAIN.cache_miss", "MAIN.s_pass", "MAIN.s_pipe", "MAIN.s_synth")
_COUNTERS: Final = (*_ANSWERED, "MAIN.backend_req", "MAIN.backend_fail")
# "server accepts handled requests", and three numbers below it.
_STUB_STATUS: Final = re.compile(r"requests\s+\d+\s+\d+\s+(\d+)")


class Counted(NamedTuple):
    """Since the program started; None where it does not count them."""

    clients: int
    origins: int | None
    failures: int | None


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

    async def look(self) -> Counted:
        """Raises OSError, ValueError."""
        process = await asyncio.create_subprocess_exec(
            *("varnishstat", "-n", self._directory, "-j", "-t", "1"),
            *(word for name in _COUNTERS for word in ("-f", name)),
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
        return parse_varnishstat(text)


def parse_varnishstat(text: bytes) -> Counted:
    """`varnishstat -j`. Raises ValueError."""
    match json.loads(text):
        case {"counters": dict(counters)}:
            values = [_value(counters, name) for name in _COUNTERS]
            return Counted(sum(values[: len(_ANSWERED)]), *values[len(_ANSWERED) :])
        case _:
            raise ValueError("that is no varnishstat")


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
