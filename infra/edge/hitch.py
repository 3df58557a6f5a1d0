"""hitch: TLS before a Varnish, with HTTP/2 by ALPN and the listener's address in PROXY v2."""

from __future__ import annotations

import os
import pwd
import re
import signal
from pathlib import Path
from typing import Final

from infra.edge.options import Child, EdgeOptions
from infra.edge.trial import try_out

_USER: Final = "_hitch"
_REASON: Final = re.compile(r"(Error .*)")
# `20260131T200000.123456 [77] 203.0.113.7:50123 :443 12:13 Handshake failure: …` is said of one connection.
# Most of these are scanners, or went out of reach, and no log says who listened. What is wrong with hitch
# itself names nobody.
_OF_A_LISTENER: Final = re.compile(r"\S:\d+ :\d+ -?\d+:-?\d+ ")


def socket_path(options: EdgeOptions) -> Path:
    """Where hitch meets Varnish."""
    return options.directory / "tls.sock"


def user() -> str | None:
    """Whom hitch becomes where it is started as root, which it insists on; None elsewhere."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_USER).pw_name
    except KeyError:
        return "nobody"


def child(options: EdgeOptions, *, http2: bool) -> Child:
    """Its command line; its configuration is written. `http2`: whether listeners are offered it."""
    path = _write(options, http2=http2)
    argv = ("hitch", f"--config={path}", f"--pidfile={_pid_file(options)}")
    # It looks for Varnish's socket once, at its start.
    socket_path(options).unlink(missing_ok=True)
    return Child("hitch", argv, after=socket_path(options), unsaid=_OF_A_LISTENER)


def check(options: EdgeOptions, *, http2: bool) -> None:
    """Write its configuration. Raises ValueError, OSError or SubprocessError where it would not take it."""
    try_out(("hitch", "--test", f"--config={_write(options, http2=http2)}"), _REASON)


def reload(options: EdgeOptions) -> None:
    """Read certificates again, and what is offered, after a `check`; connections stay."""
    os.kill(int(_pid_file(options).read_text()), signal.SIGHUP)


def _write(options: EdgeOptions, *, http2: bool) -> Path:
    path = options.directory / "hitch.conf"
    path.write_text(_configuration(options, http2=http2))
    return path


def _pid_file(options: EdgeOptions) -> Path:
    return options.directory / "hitch.pid"


def _configuration(options: EdgeOptions, *, http2: bool) -> str:
    listen = options.listen
    lines = [
        f'frontend = "[{listen.host}]:{listen.port}"',
        f'backend = "{socket_path(options)}"',
        f'pem-file = {{\n    cert = "{options.tls_cert}"\n    private-key = "{options.tls_key}"\n}}',
        f'alpn-protos = "{"h2, http/1.1" if http2 else "http/1.1"}"',
        "tls-protos = TLSv1.2 TLSv1.3",
        "write-proxy-v2 = on",
        f"workers = {len(os.sched_getaffinity(0))}",
        "backlog = 4096",
        # Certificates that have a responder are stapled from a file, if at all: an edge asks nobody.
        'ocsp-dir = ""',
        # Errors. With 0 it would not even say why it does not start.
        "log-level = 1",
    ]
    becomes = user()
    if becomes is not None:
        lines.append(f'user = "{becomes}"')
    return "\n".join(lines) + "\n"
