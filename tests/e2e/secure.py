"""A server as it stands on a LAN: with a name, a certificate from an authority of one's own, and a token."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contracts.access import Grant, Role
from contracts.tokens import Keys, derived_secret
from tests.server import Server

NAME = "room.test"
TOKEN = "a secret of the tests"
# A name server of the browser's own: the name is on no network.
RESOLVES = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"


class SecureServer(Server):
    """Set SSL_CERT_FILE to `authority` for what this process asks of it."""

    def __init__(self, directory: Path) -> None:
        issuer = trustme.CA()
        issued = issuer.issue_cert(NAME, "localhost")
        self.authority = directory / "ca.pem"
        chain, key = directory / "chain.pem", directory / "key.pem"
        issuer.cert_pem.write_to_path(str(self.authority))
        issued.private_key_pem.write_to_path(str(key))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(chain), append=True)
        self._public_key = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).public_key()
        tls = ("--tls-cert", str(chain), "--tls-key", str(key))
        super().__init__(directory / "data", *tls, env={"LONGWAVE_TOKEN": TOKEN})

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def named(self) -> str:
        """As browsers on the LAN know it: `https://room.test:PORT`."""
        return f"https://{NAME}:{self.port}"

    @property
    def trusted(self) -> str:
        """What makes Chromium trust it: the SHA-256 of its public key."""
        key = self._public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return (
            "--ignore-certificate-errors-spki-list=" + base64.b64encode(hashlib.sha256(key).digest()).decode()
        )


def invitation(role: Role, room: str, name: str | None = None, *, seconds: int = 3600) -> str:
    """A token that a server with `TOKEN` takes for so long."""
    keys = Keys({"token": derived_secret(TOKEN)})
    return keys.sign(Grant(role, room, name, secrets.token_urlsafe(8)), int(time.time()) + seconds)
