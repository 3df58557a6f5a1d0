"""A process of listeners: its orders and its words are lines of JSON over a pipe each."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, Self

import uvloop

from contracts.errors import DependencyError
from longwave.load.base import Base
from longwave.load.crowd import Arrivals, Crowd, Target
from longwave.load.http_client import Dialer
from longwave.load.plan import Plan
from longwave.load.tally import Tally
from longwave.load.tls import client_context

_TELL_SECONDS: Final = 1.0
_MOST_LINE: Final = 16 * 2**20
_END_SECONDS: Final = 10.0
_YOUNG_OBJECTS: Final = 100_000
"""Answers are freed by counting references; a collection that finds none of them only costs time."""


class Worker:
    """The other end of a process of listeners. `tally` is what it said last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.tally = Tally()
        self.cpu = 0.0

    @classmethod
    async def start(cls, plan: Plan, index: int) -> Self:
        """Start it; it waits for `go`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "longwave.load.process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_MOST_LINE,
        )  # fmt: skip
        made = cls(process)
        made.tell(order=_order(plan, index))
        await made._hear()
        return made

    def tell(self, **what: object) -> None:
        """Send it a line; one that has gone cannot be told anything."""
        pipe = self._process.stdin
        if pipe is not None and not pipe.is_closing():
            pipe.write(json.dumps(what).encode() + b"\n")

    async def listen(self) -> None:
        """Take what it says until it has ended. Raises DependencyError where it did not end well."""
        while await self._hear():
            pass
        if await self._process.wait():
            raise DependencyError(f"a process of listeners ended with {self._process.returncode}")

    async def end(self) -> None:
        """End it, gently or not."""
        self.tell(stop=True)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _hear(self) -> bool:
        pipe = self._process.stdout
        line = await pipe.readline() if pipe is not None else b""
        if not line:
            return False
        said = json.loads(line)
        self.tally, self.cpu = Tally.from_json(said["tally"]), float(said["cpu"])
        return True


def _order(plan: Plan, index: int) -> dict[str, Any]:
    number = len(range(index, plan.options.listeners, plan.processes))
    target = asdict(plan.found.target)
    target["base"] = [*plan.found.target.base]
    return {
        "target": {name: v.decode() if isinstance(v, bytes) else v for name, v in target.items()},
        "prefix": plan.found.prefix.decode(),
        # Every process takes each of so many listeners, so that together they come as one.
        "first": index / plan.rate,
        "every": plan.processes / plan.rate,
        "number": number,
        "stay": plan.options.stay,
        "sources": plan.sources,
        "ca": None if plan.options.ca is None else str(plan.options.ca),
    }


# ---- inside the process ---------------------------------------------------------------------------------


def main() -> None:
    """Run listeners as the first line on stdin says."""
    # Ctrl-C goes to all processes of a terminal: the one that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run())


async def _run() -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=_MOST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    order = json.loads(await orders.readline())["order"]
    target = target_of(order["target"])
    ca = None if order["ca"] is None else Path(order["ca"])
    dialer = Dialer(client_context(ca), tuple(order["sources"]), anywhere=target.anywhere)
    crowd = Crowd(target, dialer, prefix=order["prefix"].encode())
    arrivals = Arrivals(order["first"], order["every"], order["number"], order["stay"])
    _tell(crowd)
    gc.set_threshold(_YOUNG_OBJECTS, 50, 100)
    gc.freeze()
    stop = asyncio.Event()
    going = asyncio.create_task(_obey(orders, crowd, arrivals, stop))
    with contextlib.suppress(asyncio.CancelledError):
        await stop.wait()
    await asyncio.gather(going)
    await dialer.close()
    _tell(crowd)


async def _obey(orders: asyncio.StreamReader, crowd: Crowd, arrivals: Arrivals, stop: asyncio.Event) -> None:
    """Do what is ordered until the end, or until nobody orders any more."""
    tasks: list[asyncio.Task[None]] = []
    while line := await orders.readline():
        said = json.loads(line)
        if "prefix" in said:
            crowd.prefix = said["prefix"].encode()
        if "go" in said:
            begun = replace(arrivals, first=said["go"] + arrivals.first)
            tasks = [
                asyncio.create_task(crowd.run(begun, stop)),
                asyncio.create_task(_tell_on(crowd)),
            ]
        if "stop" in said:
            break
    stop.set()
    if tasks:
        await tasks[0]
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell_on(crowd: Crowd) -> None:
    while True:
        await asyncio.sleep(_TELL_SECONDS)
        _tell(crowd)


def _tell(crowd: Crowd, clock: Callable[[], float] = time.process_time) -> None:
    line = json.dumps({"tally": crowd.tally.to_json(), "cpu": clock()})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def target_of(found: dict[str, Any]) -> Target:
    """A target that came over the pipe."""
    texts = {name: found[name].encode() for name in ("path", "listen")}
    return Target(**{**found, **texts, "base": Base(*found["base"])})


if __name__ == "__main__":
    main()
