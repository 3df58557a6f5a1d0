"""Real Redis for tests: redis-server processes on free loopback ports, nothing kept on disk, ended by pid.

`RedisServer` is one server, `RedisPair` a master with a replica under Sentinel. Both are context managers
without event loops, so that fixtures, threads and asynchronous tests use them alike. Mark tests that need
them `@pytest.mark.needs("redis-server")`.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import redis

from tests.programs import find

_START_SECONDS = 20.0


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def poll(condition: Callable[[], object], what: str, seconds: float = _START_SECONDS) -> None:
    """Return once `condition` holds; a Redis that is not there yet is one in which nothing holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


class RedisServer:
    """A redis-server without persistence that refuses writes when it is full.

    `options`: more of its command line; `password`: what it asks for. `kill` and `restart` keep the port;
    what was in it is gone. `freeze` stops the process without closing its connections.
    """

    def __init__(self, *options: str, port: int | None = None, password: str | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://{'' if password is None else f':{password}@'}127.0.0.1:{self.port}/0"
        self._password = password
        self._options = options if password is None else (*options, "--requirepass", password)
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> Self:
        """Start it, and return when it answers."""
        program = find("redis-server")
        assert program, "redis-server is not installed"
        base = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        base += ["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"]
        # A replica keeps on disk what it gets from its master, and any server loads what it finds there.
        self._directory = tempfile.TemporaryDirectory(prefix="longwave-redis-")
        self._process = subprocess.Popen(
            [str(program), *base, "--dir", self._directory.name, *self._options], stdout=subprocess.DEVNULL
        )
        return self._started()

    def client(self) -> redis.Redis:
        """A plain client of this server, for looking and meddling."""
        return redis.Redis(port=self.port, password=self._password, socket_timeout=5, protocol=2)

    def command(self, *words: str | bytes | float) -> Any:  # noqa: ANN401 - whatever Redis answers
        """One command over a connection of its own."""
        with self.client() as client:
            return client.execute_command(*words)

    def kill(self) -> None:
        """SIGKILL: connections break at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on, first with what was sent to it meanwhile."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again on the same port, empty."""
        self.kill()
        self.start()

    def _started(self) -> Self:
        try:
            with self.client() as client:
                poll(partial(_answers, client), f"it answers on port {self.port}")
        except BaseException:
            self.kill()
            raise
        return self

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class RedisPair:
    """A master and its replica under `sentinels` Sentinels that call a server dead after `down_after_ms`."""

    name = "lw"

    def __init__(self, *, sentinels: int = 1, down_after_ms: int = 1000) -> None:
        self.master = RedisServer()
        self.replica = RedisServer("--replicaof", "127.0.0.1", str(self.master.port))
        self._directory = tempfile.TemporaryDirectory(prefix="longwave-sentinel-")
        configuration = "\n".join(
            [
                f"sentinel monitor {self.name} 127.0.0.1 {self.master.port} {sentinels // 2 + 1}",
                f"sentinel down-after-milliseconds {self.name} {down_after_ms}",
                f"sentinel failover-timeout {self.name} 3000",
                "",
            ]
        )
        self.sentinels = [self._sentinel(number, configuration) for number in range(sentinels)]
        ports = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{ports}/{self.name}/0"

    def _sentinel(self, number: int, configuration: str) -> _Sentinel:
        file = Path(self._directory.name) / f"sentinel-{number}.conf"
        port = free_port()
        file.write_text(f"bind 127.0.0.1\nport {port}\n{configuration}")
        return _Sentinel(file, port)

    def __enter__(self) -> Self:
        self.master.start()
        self.replica.start()
        self.wait_for_replica()
        for sentinel in self.sentinels:
            sentinel.start()
        poll(
            lambda: all(s.knows(self.name, len(self.sentinels)) for s in self.sentinels), "Sentinel sees all"
        )
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.sentinels, self.replica, self.master):
            process.kill()
        self._directory.cleanup()

    def wait_for_replica(self) -> None:
        """Until the replica has all that the master has."""
        with self.master.client() as master, self.replica.client() as replica:

            def caught_up() -> bool:
                there = replica.info("replication")
                offset = master.info("replication")["master_repl_offset"]
                return bool(there["master_link_status"] == "up" and there["slave_repl_offset"] >= offset)

            poll(caught_up, "the replica has what the master has")

    def wait_for_promotion(self) -> None:
        """Until the replica is the master."""
        with self.replica.client() as replica:
            poll(lambda: replica.info("replication")["role"] == "master", "the replica became the master")


class _Sentinel(RedisServer):
    """A Sentinel process; it writes what it learns into its own configuration."""

    def __init__(self, configuration: Path, port: int) -> None:
        super().__init__(port=port)
        self._configuration = configuration

    def start(self) -> Self:
        """Start it, and return when it answers."""
        program = find("redis-server")
        assert program, "redis-server is not installed"
        self._process = subprocess.Popen(
            [str(program), str(self._configuration), "--sentinel"], stdout=subprocess.DEVNULL
        )
        return self._started()

    def knows(self, name: str, sentinels: int) -> bool:
        """It has found the replica and the other Sentinels."""
        with self.client() as client:
            state: dict[str, Any] = client.sentinel_master(name)
        return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == sentinels - 1)


def _answers(client: redis.Redis) -> object:
    return client.ping()


@contextmanager
def redis_servers(count: int) -> Iterator[Sequence[RedisServer]]:
    """Several servers that know nothing of each other."""
    servers = [RedisServer() for _ in range(count)]
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            server.kill()
