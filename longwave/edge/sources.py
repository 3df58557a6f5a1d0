"""Where access lines come from: standard input, or a socket that takes syslog's datagrams.

Each is read as fast as it comes and never makes an edge wait: what cannot be taken is lost, for one line more
or less of a crowd is no matter.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

from contracts.errors import DependencyError, UsageError
from longwave.edge.gathering import Gathering
from longwave.running import running

_CHUNK: Final = 2**18
_MAX_DATAGRAM: Final = 8_192
# Datagrams in one go, before everything else here has its turn.
_AT_ONCE: Final = 512
_RECEIVE_BUFFER: Final = 4 * 2**20


@asynccontextmanager
async def gathered(log: str, gathering: Gathering) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Gather meanwhile what comes from `log`: `-` or `unix:PATH`.

    Gives the tasks that do; where the log ends they fail. Raises UsageError, DependencyError.
    """
    match log.partition(":"):
        case "-", "", "":
            async with _standard_input(gathering) as task:
                yield [task]
        case "unix", _, path if path:
            with _datagrams(Path(path), gathering):
                yield []
        case _:
            raise UsageError(f"--log: - or unix:PATH, not {log}")


@asynccontextmanager
async def _standard_input(gathering: Gathering) -> AsyncIterator[asyncio.Task[None]]:
    reader = asyncio.StreamReader(limit=_CHUNK)
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
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


@contextmanager
def _datagrams(path: Path, gathering: Gathering) -> Iterator[None]:
    """A socket at `path`, made anew: who finds an old one there was told to use it."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        try:
            if path.is_socket():
                path.unlink()
            bound.bind(os.fspath(path))
        except OSError as error:
            raise DependencyError(f"no socket can be made at {path}: {error.strerror or error}") from None
        loop.add_reader(bound, _drain, bound, gathering)
        try:
            yield
        finally:
            loop.remove_reader(bound)
            path.unlink(missing_ok=True)


def _drain(bound: socket.socket, gathering: Gathering) -> None:
    """What is there, or as much of it as may be read at once."""
    gathering.add(islice(_received(bound), _AT_ONCE))


def _received(bound: socket.socket) -> Iterator[bytes]:
    with suppress(BlockingIOError):
        while True:
            yield bound.recv(_MAX_DATAGRAM)
