"""Who waits in a running edge for what another request has asked an origin for."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from infra.edge.nginx.edge import STATUS_SOCKET
from tests.edges import Edge, wait_for

T = TypeVar("T")


class Inside:
    """Requests that have come to an edge since this was made, and are not answered."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._before = self._count()

    async def are(self, number: int) -> None:
        """Return once there are so many: one that an origin was asked for, and others that wait for it."""
        wanted = number
        if self._edge.program == "varnish":
            # It tells of those alone who began to wait, and of some only when their thread has more to do.
            wanted = (number - 1) * 3 // 4
        await asyncio.to_thread(wait_for, lambda: self._count() - self._before >= wanted, "all have arrived")
        if self._edge.program == "varnish":
            await asyncio.sleep(0.5)

    def _count(self) -> int:
        if self._edge.program == "varnish":
            return _varnish_counter(self._edge, "MAIN.busy_sleep")
        return _in_hand(self._edge)


async def all_inside(edge: Edge, requests: Iterable[Coroutine[Any, Any, T]]) -> list[asyncio.Task[T]]:
    """Requests for one thing that takes its time: all of them have arrived, and none is answered."""
    inside = Inside(edge)
    tasks = [asyncio.create_task(request) for request in requests]
    await inside.are(len(tasks))
    return tasks


def _varnish_counter(edge: Edge, name: str) -> int:
    """One number of varnishstat."""
    command = ["varnishstat", "-j", "-n", str(edge.working_directory), "-f", name]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(told.stdout)["counters"][name]["value"])


def _in_hand(edge: Edge) -> int:
    """How many requests nginx has not answered yet, beside this one."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(edge.directory / STATUS_SOCKET))
        asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
        found = re.search(rb"Writing: (\d+)", asking.makefile("rb").read())
    assert found
    return int(found[1]) - 1
