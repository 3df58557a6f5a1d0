"""`longwave load`: says what it will do, does it, and tells what listeners met."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from contracts.errors import UsageError
from longwave.load.invitation import Invitation
from longwave.load.plan import LoadOptions, Plan, make_plan, raise_file_limit
from longwave.load.probe import find, target_of
from longwave.load.process import Worker
from longwave.load.report import report
from longwave.load.tally import Tally
from longwave.load.view import View, view_for

_LEAD_SECONDS: Final = 0.2
"""From the order to the first listener: every process has it by then."""
_EVERY_SECONDS: Final = 1.0


def run_load(options: LoadOptions) -> None:
    """Load a server, and print or write what came of it. Raises UsageError, DependencyError."""
    if options.json is not None:
        _check_file(options.json)
    errors = Console(stderr=True)
    result = asyncio.run(load(options, errors, view_for(errors)))
    text = json.dumps(result, indent=2, ensure_ascii=False)
    if options.json is None:
        print(text)  # noqa: T201 - the command line
    else:
        options.json.write_text(text + "\n")
    if not result["honest"]:
        errors.print(
            "these figures are not honest: this machine could not act on time (schedule lag p99 over 50 ms); "
            "use fewer listeners, or more machines",
            soft_wrap=True,
        )


def _check_file(path: Path) -> None:
    """Find out before the run whether its result can be written; what is in the file stays until then."""
    try:
        path.open("a").close()
    except OSError as error:
        raise UsageError(f"--json {path} cannot be written: {error.strerror}") from None


async def load(options: LoadOptions, errors: Console, view: View) -> dict[str, Any]:
    """The result of a run. Raises UsageError, DependencyError."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    target, prefix = target_of(options)
    async with Invitation(options, target, prefix) as invitation:
        plan = make_plan(options, await find(options, target, invitation.prefix))
        raise_file_limit(plan)
        for line in plan.lines():
            errors.print(line, markup=False, highlight=False, soft_wrap=True)
        workers = [await Worker.start(plan, index) for index in range(plan.processes)]
        return await _hold(plan, workers, invitation, stop, view)


async def _hold(
    plan: Plan, workers: list[Worker], invitation: Invitation, stop: asyncio.Event, view: View
) -> dict[str, Any]:
    begin = time.monotonic() + _LEAD_SECONDS
    for worker in workers:
        worker.tell(go=begin)
    listening = [asyncio.create_task(worker.listen()) for worker in workers]

    def renewed(prefix: bytes) -> None:
        for worker in workers:
            worker.tell(prefix=prefix.decode())

    renewing = asyncio.create_task(invitation.renew(renewed))
    try:
        with view:
            ended = await _watch(plan, workers, stop, lambda: time.monotonic() - begin, view, listening)
        for worker in workers:
            worker.tell(stop=True)
        await asyncio.gather(*listening)
    finally:
        renewing.cancel()
        await asyncio.gather(*(worker.end() for worker in workers))
        await asyncio.gather(renewing, *listening, return_exceptions=True)
    cpu = sum(worker.cpu for worker in workers)
    return report(plan, _sum(workers), seconds=ended, cpu=cpu, complete=not stop.is_set())


async def _watch(
    plan: Plan,
    workers: list[Worker],
    stop: asyncio.Event,
    passed: Callable[[], float],
    view: View,
    listening: list[asyncio.Task[None]],
) -> float:
    """Show how it goes until it is over, stopped, or a process has ended. Returns the seconds it took."""
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set() and not any(task.done() for task in listening):
            left = plan.options.seconds - passed()
            if left <= 0:
                break
            whole = _EVERY_SECONDS - passed() % _EVERY_SECONDS
            await asyncio.wait(
                [stopping, *listening], timeout=min(left, whole), return_when=asyncio.FIRST_COMPLETED
            )
            if passed() > _EVERY_SECONDS / 2 and left > whole:
                view.show(passed(), _sum(workers))
    finally:
        stopping.cancel()
    return max(0.0, passed())


def _sum(workers: list[Worker]) -> Tally:
    total = Tally()
    for worker in workers:
        total.merge(worker.tally)
    return total
