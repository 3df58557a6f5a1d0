"""What an edge is told, and what it starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

LOCAL: Final = ("127.0.0.1", "::1")


class Address(NamedTuple):
    """A host (a name or an address) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """As in a URL: an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """One edge. `origins` in the order of preference; `directory` is where its files are written.

    `keys` are those of listen tokens by key id (`longwave token --edge-keys`); without any, private rooms are
    answered 403. `tier` is what this edge is to listeners, `name` what it is called where they are counted.
    `purgers` are addresses and networks that may remove what is cached. Where it is `counted`,
    `longwave edge` runs beside it and counts its listeners; its numbers are on `metrics_port` of the
    loopback, if there is one, and it tells those in `told`: none means the origins, which are to be named
    where another edge stands between. With `http1` there is no HTTP/2 for listeners.
    """

    listen: Address
    origins: tuple[Address, ...]
    directory: Path
    name: str
    tier: str = "edge"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    keys: tuple[tuple[str, str], ...] = ()
    memory_mb: int = 256
    purgers: tuple[str, ...] = LOCAL
    counted: bool = False
    metrics_port: int | None = None
    told: tuple[Address, ...] = ()
    http1: bool = False


class Child(NamedTuple):
    """A program of an edge: what it is called in messages, and its command line.

    `reads` names the program, started before it, whose standard output it reads. `after` is a file that
    has to be there first: one of those before it makes it. Lines of its standard error in which `unsaid` is
    found go no further.
    """

    name: str
    argv: tuple[str, ...]
    reads: str | None = None
    after: Path | None = None
    unsaid: re.Pattern[str] | None = None
