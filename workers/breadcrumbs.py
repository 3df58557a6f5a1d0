"""Which take a process was encoding when it died of a fatal signal.

What a crash leaves is written by `faulthandler`, in the signal's handler: the Python stack of every thread,
into a file of the data directory. So that the stack tells which take it is about, encoders are called through
a frame whose *name* is the take's. Nothing is written, no disk is touched and no lock is taken while all is
well. Only SIGSEGV, SIGABRT, SIGBUS, SIGFPE and SIGILL leave anything; SIGKILL and SIGTERM leave nothing.
"""

from __future__ import annotations

import faulthandler
import os
import re
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

import structlog

from contracts.errors import LongwaveError
from contracts.ids import check_room, check_take
from contracts.take import TakeKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger()

T = TypeVar("T")

# As `faulthandler` writes them (Python 3.11 to 3.14): a line for each thread, a line for each frame.
_CURRENT: Final = re.compile(r"^Current thread 0x.*\n(?:  .*\n?)*", re.MULTILINE)
_NAMED_FRAME: Final = re.compile(r", line \d+ in take ([^/\s]+)/(\S+)$", re.MULTILINE)
_CAUSE: Final = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
_FILE: Final = "crash.txt"
# Of 100 threads at most; the one that got the signal comes early. Longer is cut where the disk is full.
_SIZE: Final = 2**17


@dataclass(frozen=True, slots=True)
class Crash:
    """A process died of `cause` ("Segmentation fault") while it encoded one of `takes`.

    `stack` is for people.
    """

    cause: str
    takes: tuple[TakeKey, ...]
    stack: str


class CrumbFrame(Protocol):
    """Calls `work` and gives what it returns; its frame is named after a take."""

    def __call__(self, work: Callable[[], T]) -> T:
        """Call it. Raises what it raises."""


def crumb_frame(key: TakeKey) -> CrumbFrame:
    """What encoders of a take are to be called through."""
    name = f"take {key.room}/{key.take}"
    code = _call.__code__.replace(co_name=name, co_qualname=name)
    return cast("CrumbFrame", FunctionType(code, _call.__globals__, name))


def _call(work: Callable[[], T]) -> T:
    return work()


def parse_trace(text: str) -> Crash | None:
    """What `faulthandler` wrote; None where no fatal signal did.

    If the thread that got the signal was not encoding (what an encoder breaks may show anywhere), or is not
    known (no Python ran in it), each take that was being encoded in that moment may have been the cause.
    """
    cause = _CAUSE.search(text)
    if cause is None:
        return None
    stack = _CURRENT.search(text)
    current = "" if stack is None else stack[0]
    takes = _takes_in(current) or _takes_in(text)
    return Crash(cause[1], takes, current or text)


def _takes_in(stack: str) -> tuple[TakeKey, ...]:
    found: dict[TakeKey, None] = {}
    for room, take in _NAMED_FRAME.findall(stack):
        try:
            found[TakeKey(check_room(room), check_take(take))] = None
        except LongwaveError:  # a line that was torn
            continue
    return tuple(found)


def last_crash(directory: Path) -> Crash | None:
    """What the last process that wrote into `directory` died of, if of a fatal signal; logged. Blocks."""
    try:
        with (directory / _FILE).open("rb") as file:
            crash = parse_trace(file.read(_SIZE).rstrip(b"\0").decode(errors="replace"))
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("what a crash may have left cannot be read", path=str(directory), reason=error.strerror)
        return None
    if crash is not None:
        takes = [f"{key.room}/{key.take}" for key in crash.takes]
        log.error("the last process crashed", cause=crash.cause, encoding=takes, stack=crash.stack)
    return crash


def catch_crashes(directory: Path) -> None:
    """Write what a fatal signal leaves into `directory` from now on, in place of what is there. Blocks.

    Where the disk does not take it, it goes to stderr, and the next process will not know.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / _FILE).open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, _SIZE)
            # It is written to by the signal's handler, until the process is over.
            faulthandler.enable(os.dup(file.fileno()))
    except OSError as error:
        log.warning("what a crash leaves cannot be kept", path=str(directory), reason=error.strerror)
        faulthandler.enable()
