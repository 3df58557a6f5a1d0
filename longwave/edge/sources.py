"""Where access lines come from: standard input, or a file that is appended to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from contracts.errors import DependencyError, UsageError
from longwave.edge.gathering import Gathering
from longwave.edge.tail import Tail
from longwave.running import running

_CHUNK: Final = 2**18
_LOOK_SECONDS: Final = 0.1


@asynccontextmanager
async def gathered(log: str, gathering: Gathering) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Gather meanwhile what comes from `log`: `-`, or the path of a file, which may not be there yet.

    Gives the task that does; it fails where the log ends. Raises UsageError, DependencyError.
    """
    source = _standard_input if log == "-" else _file
    async with source(log, gathering) as task:
        yield [task]


@asynccontextmanager
async def _standard_input(_: str, gathering: Gathering) -> AsyncIterator[asyncio.Task[None]]:
    reader = asyncio.StreamReader(limit=_CHUNK)
    try:
        transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
    except ValueError:
        raise UsageError("--log -: standard input is no pipe: let an edge write into it") from None
    try:
        async with running(_read(reader, gathering), "access log") as task:
            yield task
    finally:
        transport.close()


async def _read(reader: asyncio.StreamReader, gathering: Gathering) -> None:
    """Everything, to its end. What is longer than a chunk comes in pieces, which are no lines of ours."""
    rest = b""
    while chunk := await reader.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        gathering.add(lines)
        if len(rest) > _CHUNK:
            gathering.add([rest])
            rest = b""
    raise DependencyError("the access log is over: what wrote it has ended")


@asynccontextmanager
async def _file(log: str, gathering: Gathering) -> AsyncIterator[asyncio.Task[None]]:
    path = Path(log)
    if not path.parent.is_dir():
        raise UsageError(f"--log {log}: there is no directory {path.parent}")
    try:
        tail = Tail(path)
    except OSError as error:
        raise DependencyError(f"the access log {log} cannot be read: {error.strerror}") from None
    with tail:
        async with running(_follow(tail, gathering), "access log") as task:
            yield task


async def _follow(tail: Tail, gathering: Gathering) -> None:
    while True:
        lines = tail.read()
        gathering.add(lines)
        # More may be there already: others have their turn, and then it is read.
        await asyncio.sleep(0 if lines else _LOOK_SECONDS)
