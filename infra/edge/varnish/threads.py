"""Threads of a Varnish: each connection of HTTP/2 holds one, and where none is left nobody is answered.

One of HTTP/1.1 holds none while it is idle or waits for what somebody else has asked for. So before the end
of the threads HTTP/2 is offered to nobody new, and to all again when there is room. Who is there stays.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

# Of all threads. Between two looks some thousands may come, and who is there asks for several things at once.
_MANY: Final = 0.7
# Those that are idle go after five minutes (thread_pool_timeout): it is never back and forth.
_FEW: Final = 0.4
_ANSWER_SECONDS: Final = 2


class Threads(NamedTuple):
    """How many there are, and how many there may be."""

    running: int
    most: int


def offers_http2(threads: Threads, *, offered: bool) -> bool:
    """Whether HTTP/2 is offered to who comes now, where it was `offered` to those before."""
    return threads.running < threads.most * (_MANY if offered else _FEW)


def look(working_directory: Path) -> Threads:
    """What a running Varnish says. Raises OSError, ValueError or SubprocessError."""
    fields = ("-f", "MAIN.threads", "-f", "MAIN.pools")
    counters = _ask(working_directory, "varnishstat", "-j", "-t", "1", *fields)
    shown = _ask(working_directory, "varnishadm", "-t", "1", "param.show", "-j", "thread_pool_max")
    match counters, shown:
        case (
            {"counters": {"MAIN.threads": {"value": int(running)}, "MAIN.pools": {"value": int(pools)}}},
            [*_, {"value": int(each)}],
        ):
            return Threads(running, pools * each)
        case _:
            raise ValueError("Varnish does not say how many threads it has")


def _ask(working_directory: Path, program: str, *words: str) -> object:
    said = subprocess.run(  # noqa: S603
        [program, "-n", str(working_directory), *words],
        capture_output=True,
        check=True,
        timeout=_ANSWER_SECONDS,
    )
    told: object = json.loads(said.stdout)
    return told
