"""`infra/edge/run varnish|nginx …`: an edge in the foreground."""

from __future__ import annotations

import argparse
import re
import socket
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from infra.edge.counting import can_count
from infra.edge.nginx.edge import Nginx
from infra.edge.options import LOCAL, Address, EdgeOptions
from infra.edge.supervise import EdgeFailed, Program, run
from infra.edge.varnish.edge import Varnish

_PROGRAMS: Final[dict[str, type[Program]]] = {"varnish": Varnish, "nginx": Nginx}
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 after SIGTERM, 1 when the edge failed, 2 where it was told something impossible."""
    parser = _parser()
    told = parser.parse_args(arguments)
    if (told.tls_cert is None) != (told.tls_key is None):
        parser.error("--tls-cert and --tls-key belong together")
    if told.count and not can_count():
        parser.error("--count needs Longwave itself: run it with the Python of its environment")
    if told.listen.port == 0:
        told.listen = _free(told.listen)
    with tempfile.TemporaryDirectory(prefix="longwave-edge-") as temporary:
        directory = Path(told.directory or temporary).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        try:
            run(_PROGRAMS[told.program](), partial(_options, told, directory))
        except (EdgeFailed, ValueError, OSError) as error:
            print(f"edge: {error}", file=sys.stderr)  # noqa: T201 - this is a command
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="infra/edge/run",
        description="An edge for Longwave in the foreground. SIGTERM ends it, SIGHUP makes it read keys and "
        "certificates again.",
    )
    add = parser.add_argument
    add(
        "program",
        choices=tuple(_PROGRAMS),
        help="varnish: low latency; nginx: 2-second HLS, and parts of 1 s and more",
    )
    add(
        "--listen",
        type=address,
        required=True,
        metavar="HOST:PORT",
        help="where listeners come to; port 0: a free one",
    )
    add(
        "--origin",
        type=address,
        action="append",
        required=True,
        metavar="HOST:PORT",
        help="an origin; more of them in the order of preference",
    )
    add(
        "--name",
        type=_name,
        default=socket.gethostname(),
        help="what it is called where listeners are counted",
    )
    add("--tier", choices=("edge", "cdn"), default="edge", help="what it is to listeners")
    add("--tls-cert", type=Path, metavar="FILE", help="certificate chain, PEM; HTTP/2 comes with it")
    add("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    add("--http1", action="store_true", help="no HTTP/2 all the same: listeners come with HTTP/1.1 alone")
    add(
        "--keys",
        type=Path,
        metavar="FILE",
        help="keys of private rooms: what `longwave token --edge-keys` prints",
    )
    add("--memory", type=int, default=256, metavar="MB", help="what it may cache")
    add(
        "--purge-from",
        action="append",
        metavar="ADDRESS",
        help="addresses or networks that may purge, in the place of this machine: name them where a proxy of "
        "this machine stands before the edge",
    )
    add(
        "--count",
        action="store_true",
        help="count listeners and tell origins: `longwave edge` beside it, whose token is LONGWAVE_TOKEN",
    )
    add(
        "--tell",
        type=address,
        action="append",
        metavar="HOST:PORT",
        help="an origin that is told of listeners, where --origin names another edge",
    )
    add("--metrics-port", type=int, metavar="PORT", help="where `longwave edge` shows its numbers")
    add("--directory", metavar="DIR", help="where its files are written; a temporary one by default")
    return parser


def address(text: str) -> Address:
    """`HOST:PORT`, `[::1]:PORT`. Raises ArgumentTypeError, also for a URL: origins speak plain HTTP."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or "/" in host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return Address(host, int(port))


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("at most 64 letters, digits, dots, dashes and underscores")
    return text


def _free(listen: Address) -> Address:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((listen.host, 0))
        return Address(listen.host, int(probe.getsockname()[1]))


def _options(told: argparse.Namespace, directory: Path) -> EdgeOptions:
    """What was told, with the keys as they are in their file now."""
    return EdgeOptions(
        listen=told.listen,
        origins=tuple(told.origin),
        directory=directory,
        name=told.name,
        tier=told.tier,
        tls_cert=told.tls_cert and told.tls_cert.resolve(),
        tls_key=told.tls_key and told.tls_key.resolve(),
        keys=read_keys(told.keys) if told.keys else (),
        memory_mb=told.memory,
        purgers=tuple(told.purge_from or LOCAL),
        counted=told.count,
        metrics_port=told.metrics_port,
        http1=told.http1,
        told=tuple(told.tell or ()),
    )


def read_keys(path: Path) -> tuple[tuple[str, str], ...]:
    """Lines of `kid key`; empty ones and those that begin with # are nothing. Raises ValueError."""
    keys = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        # The line itself is a secret.
        if len(words) != 2:
            raise ValueError(
                f"{path}, line {number}: a key id and a key, as `longwave token --edge-keys` prints them"
            )
        keys.append((words[0], words[1]))
    return tuple(keys)


if __name__ == "__main__":
    sys.exit(main())
