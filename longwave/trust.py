"""How commands check the certificate of an https server."""

from __future__ import annotations

import ssl
from pathlib import Path

from contracts.errors import UsageError


def trusting(ca: Path | None) -> ssl.SSLContext | bool:
    """What aiohttp checks servers by: the certificates in `ca` (PEM), or those of the system.

    Raises UsageError.
    """
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UsageError(f"--ca: cannot use {ca}: {error}") from None
