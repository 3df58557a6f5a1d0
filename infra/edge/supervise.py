"""Running the programs of an edge: all of them or none, ended by pid, reloaded without an end."""

from __future__ import annotations

import contextlib
import http.client
import queue
import resource
import signal
import ssl
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Final, NamedTuple

from infra.edge.options import Address, Child, EdgeOptions
from infra.edge.saying import Saying

_ANSWER_SECONDS: Final = 20.0
_END_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5
_TEND_SECONDS: Final = 1.0
# As Debian's service of Varnish has it. A shell begins with 1,024, and a listener takes hitch two.
_OPEN_FILES: Final = 131_072
# What is bound to everything is reached at home.
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


# Ends the processes that are named to it when its input ends without an `end`: who started them was killed.
# A process of its own, because varnishd forgets the kernel's PR_SET_PDEATHSIG when it changes its user.
_KEEPER: Final = (
    "sh",
    "-c",
    'pids=; while read -r word; do [ "$word" = end ] && exit; pids="$pids $word"; done; kill $pids',
)


class _Runs(NamedTuple):
    """A program that was started, and what passes on what it says where that is not done as it is."""

    child: Child
    process: subprocess.Popen[bytes]
    saying: Saying | None


class Program(ABC):
    """One edge's program: how it is started and told. What changes while it runs is its own."""

    @abstractmethod
    def children(self, options: EdgeOptions) -> list[Child]:
        """Write what they read; what to start. Raises ValueError, OSError."""

    @abstractmethod
    def reload(self, options: EdgeOptions) -> None:
        """Write it again, and have it taken up. The cache stays, and so do connections.

        Raises ValueError, OSError or SubprocessError with what is wrong; the edge goes on as before.
        """

    def tend(self, options: EdgeOptions) -> None:  # noqa: ARG002 - for those who look after something
        """Look after what runs, once a second. Raises as `reload` does."""
        return


class EdgeFailed(Exception):
    """The edge is not there, or no longer: one line that says why."""


def run(program: Program, options: Callable[[], EdgeOptions]) -> None:
    """Start an edge, say on stdout where it listens, and return once it was asked to end (SIGTERM, SIGINT).

    `options` are asked for again at each SIGHUP. Raises EdgeFailed when a program ends by itself or cannot be
    started, ValueError or OSError where the options are wrong at the start.
    """
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def tell(number: int, _: FrameType | None) -> None:
        signals.put(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, tell)
    first = options()
    _open_files()
    running: list[_Runs] = []
    # Not of our group: what ends all of that at once leaves it to do its work.
    keeper = subprocess.Popen(_KEEPER, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
    try:
        _start(program.children(first), running, keeper)
        if _wait_until_it_answers(first, running, signals):
            scheme = "http" if first.tls_cert is None else "https"
            print(f"edge listens on {scheme}://{first.listen}/", flush=True)  # noqa: T201 - whoever started it reads it
            _serve(program, options, first, running, signals)
    finally:
        _end(running)
        _tell(keeper, "end")


def _open_files() -> None:
    """For all programs that are started from here on: as many as they may, up to `_OPEN_FILES`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    # A kernel whose own limit has been lowered since (fs.nr_open) refuses: then it stays as it is.
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))


def _tell(keeper: subprocess.Popen[bytes], word: str) -> None:
    assert keeper.stdin is not None  # noqa: S101 - as it was started
    # Without it everything goes on as well.
    with contextlib.suppress(BrokenPipeError):
        keeper.stdin.write(f"{word}\n".encode())
        keeper.stdin.flush()


def _start(
    children: Sequence[Child],
    running: list[_Runs],
    keeper: subprocess.Popen[bytes],
) -> None:
    """Start them in order; `running` grows by each, so that all are ended if one cannot be started."""
    read = {child.reads for child in children}
    pipes: dict[str | None, IO[bytes] | None] = {}
    for child in children:
        if child.after is not None:
            _wait_for_file(child.after, running)
        # What programs have to say belongs to the log; our own line stands alone.
        stdin = pipes.pop(child.reads, None) if child.reads else None
        stdout = subprocess.PIPE if child.name in read else sys.stderr
        stderr = None if child.unsaid is None else subprocess.PIPE
        try:
            process = subprocess.Popen(  # noqa: S603
                child.argv, stdin=stdin or subprocess.DEVNULL, stdout=stdout, stderr=stderr
            )
        except OSError as error:
            raise EdgeFailed(f"{child.name} cannot be started: {error.strerror}") from None
        if stdin is not None:
            stdin.close()
        pipes[child.name] = process.stdout
        saying = Saying(process.stderr, child.unsaid) if process.stderr and child.unsaid else None
        running.append(_Runs(child, process, saying))
        _tell(keeper, str(process.pid))


def _wait_for_file(path: Path, running: Sequence[_Runs]) -> None:
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not path.exists():
        _check(running)
        if time.monotonic() > deadline:
            raise EdgeFailed(f"{path} is not there after {_ANSWER_SECONDS:.0f} s")
        time.sleep(0.02)


def _check(running: Sequence[_Runs]) -> None:
    for child, process, _ in running:
        status = process.poll()
        if status is not None:
            raise EdgeFailed(f"{child.name} ended by itself with status {status}: see what it said above")


def _wait_until_it_answers(
    options: EdgeOptions,
    running: Sequence[_Runs],
    signals: queue.SimpleQueue[int],
) -> bool:
    """True once it answers, False where it was asked to end before."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        _check(running)
        if answers(options.listen, tls=options.tls_cert is not None):
            # Its own answer, and not that of somebody who has had the port before.
            _check(running)
            return True
        with contextlib.suppress(queue.Empty):
            if signals.get(timeout=0.05) in (signal.SIGTERM, signal.SIGINT):
                return False
    raise EdgeFailed(f"nothing answers on {options.listen} within {_ANSWER_SECONDS:.0f} s")


def answers(listen: Address, *, tls: bool) -> bool:
    """Whether an edge speaks HTTP at `listen`: a preflight is answered without an origin."""
    host = _EVERYWHERE.get(listen.host, listen.host)
    if tls:
        # The certificate is for its listeners' name for it.
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        secure = http.client.HTTPSConnection(host, listen.port, timeout=2, context=trusting)
        connection: http.client.HTTPConnection = secure
    else:
        connection = http.client.HTTPConnection(host, listen.port, timeout=2)
    try:
        connection.request("OPTIONS", "/rooms.json")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _serve(
    program: Program,
    options: Callable[[], EdgeOptions],
    first: EdgeOptions,
    running: Sequence[_Runs],
    signals: queue.SimpleQueue[int],
) -> None:
    current, tended = first, time.monotonic()
    while True:
        _check(running)
        with contextlib.suppress(queue.Empty):
            match signals.get(timeout=_LOOK_SECONDS):
                case signal.SIGTERM | signal.SIGINT:
                    return
                case signal.SIGHUP:
                    current = _reload(program, options, current)
        if time.monotonic() - tended >= _TEND_SECONDS:
            # What cannot be looked at now can be in a second; what ends says so itself.
            with contextlib.suppress(ValueError, OSError, subprocess.SubprocessError):
                program.tend(current)
            tended = time.monotonic()


def _reload(program: Program, options: Callable[[], EdgeOptions], current: EdgeOptions) -> EdgeOptions:
    """The options that it has taken up, or `current` where it could not."""
    try:
        told = options()
        program.reload(told)
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        print(f"edge goes on as before: {error}", file=sys.stderr, flush=True)  # noqa: T201
    else:
        print("edge has taken up its options again", file=sys.stderr, flush=True)  # noqa: T201
        return told
    return current


def _end(running: Sequence[_Runs]) -> None:
    """Whoever meets listeners first ends first."""
    for _, process, _ in reversed(running):
        process.terminate()
    deadline = time.monotonic() + _END_SECONDS
    for _, process, saying in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if saying is not None:
            saying.finish()
