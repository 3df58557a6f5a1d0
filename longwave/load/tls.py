"""How a crowd checks an https server."""

from __future__ import annotations

import ssl
from pathlib import Path

from contracts.errors import UsageError


def client_context(ca: Path | None) -> ssl.SSLContext:
    """Checks by the certificates in `ca` (PEM), or by those of the system; offers HTTP/1.1. UsageError."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UsageError(f"--ca: cannot use {ca}: {error}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
