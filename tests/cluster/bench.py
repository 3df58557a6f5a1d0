"""Origins, workers and ingests as processes of their own, on real Redis: `with Bench(tmp, buses) as bench:`.

Every process is a `tests.server.Server`: it can be killed, frozen, stopped and started again on its port.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from tests.server import Server


class Bench:
    """Processes that share `buses` and a storage; `counts` says how many there are of each role at the start.

    `storage` is a URL, by default a directory that all share; `env` is added to each process' environment.
    """

    def __init__(
        self,
        directory: Path,
        buses: Sequence[str],
        *,
        counts: Mapping[str, int] | None = None,
        storage: str | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._buses = buses
        self._counts = {"origin": 2, "worker": 3, "ingest": 1} | dict(counts or {})
        self.storage = storage or (directory / "storage").as_uri()
        self.env = {"LONGWAVE_STORAGE": self.storage, "LONGWAVE_LOG_FORMAT": "json"} | (env or {})
        self.origins: list[Server] = []
        self.workers: list[Server] = []
        self.ingests: list[Server] = []

    @property
    def servers(self) -> list[Server]:
        """All of them."""
        return [*self.origins, *self.workers, *self.ingests]

    def make(
        self, role: str, *args: str, buses: Sequence[str] | None = None, inside: Sequence[str] = ()
    ) -> Server:
        """One more process of a role, not started yet; `args` are added to its command line."""
        there: list[Server] = getattr(self, f"{role}s")
        options = [word for bus in buses or self._buses for word in ("--bus", bus)]
        data = self._directory / f"{role}{len(there)}"
        server = Server(data, *options, *args, command=role, env=self.env, inside=inside)
        there.append(server)
        return server

    def start(self, *servers: Server) -> None:
        """Start some, all at once; return when they are ready."""
        with ThreadPoolExecutor(max(1, len(servers))) as pool:
            list(pool.map(Server.start, servers))
        for server in servers:
            favour(server.pid, -10 if server in self.ingests else 0)

    def put_room(self, room: str, **record: Any) -> None:  # noqa: ANN401 - as JSON has it
        """Make a room, through any ingest."""
        answer = self.ingests[0].request("PUT", f"/rooms/{room}", json.dumps(record).encode())
        assert answer.status < 300, answer.text

    def state(self) -> Any:  # noqa: ANN401 - parsed JSON
        """`/cluster.json`, as the first ingest that runs tells it."""
        answer = self._running_ingest().get("/cluster.json")
        assert answer.status == 200, answer.text
        return answer.json

    def carriers(self, room: str) -> list[Server]:
        """The workers that encode the take of a room, as heartbeats say."""
        state = self.state()
        names = {name for take in state["takes"] if take["room"] == room for name in take["carried_by"]}
        urls = {node["url"] for node in state["nodes"] if node["id"] in names}
        return [worker for worker in self.workers if worker.url in urls]

    def carried(self, room: str, by: int = 1, seconds: float = 20.0) -> list[Server]:
        """Wait until so many workers encode the take of a room; which ones."""
        Server.wait_for(lambda: len(self.carriers(room)) == by, seconds)
        return self.carriers(room)

    def conflicts(self) -> int:
        """Parts that origins refused because they hold other bytes."""
        return sum(int(metric(origin, "longwave_byte_conflicts_total")) for origin in self.origins)

    def __enter__(self) -> Self:
        for role, count in self._counts.items():
            for _ in range(count):
                self.make(role)
        try:
            self.start(*self.servers)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything, hard: what a clean end does is for tests of it."""
        for server in self.servers:
            if server.process is not None and server.process.poll() is None:
                server.kill()

    def _running_ingest(self) -> Server:
        return next(each for each in self.ingests if each.process and each.process.poll() is None)


def favour(pid: int, nice: int = -10) -> None:
    """Who speaks, and whom they speak to, stand for machines that are not busy with the rest of a bench."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)


def metric(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric over all its labels but these; 0 while there is none."""
    lines = server.get("/metrics").text.splitlines()
    found = (line for line in lines if line.startswith(name) and line[len(name)] in " {")
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(float(line.rpartition(" ")[2]) for line in found if all(each in line for each in wanted))


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll until `condition` holds."""
    Server.wait_for(condition, seconds)
