"""What WHIP needs to know of its server: where it listens, its UDP ports, who helps with ICE."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import Final

# RFC 7064 and RFC 7065, as far as it matters to a header: no spaces, quotes or angle brackets.
_SERVER_URL: Final = re.compile(r"(stun|stuns|turn|turns):[^\s<>\"']{1,255}")
_CREDENTIAL: Final = re.compile(r"[\x20-\x7e]{1,255}")
_PORTS: Final = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server that browsers are told of. Raises ValueError."""

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not _SERVER_URL.fullmatch(self.url):
            raise ValueError(f"{self.url[:80]!r} is no address such as stun:stun.example.net:3478")
        if (self.username is None) != (self.credential is None):
            raise ValueError("a username goes with a credential")
        for text in (self.username, self.credential):
            if text is not None and not _CREDENTIAL.fullmatch(text):
                raise ValueError("usernames and credentials are 1 to 255 printable ASCII characters")

    def link(self) -> str:
        """The value of a `Link` header (RFC 9725 4.6)."""
        parts = [f"<{self.url}>", 'rel="ice-server"']
        if self.username is not None and self.credential is not None:
            parts += [
                f"username={_quoted(self.username)}",
                f"credential={_quoted(self.credential)}",
                'credential-type="password"',
            ]
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class WhipSettings:
    """`host` is what the HTTP server listens on: media comes in at the same address, or at all of them.

    `address` is one that NAT maps to this machine, told to browsers besides; `udp_ports` are the first and
    the last that firewalls let through, None for any. `other_sites`: pages of other sites may send, which is
    right only where a token is needed. Timeouts are in seconds.
    """

    host: str = "127.0.0.1"
    address: str | None = None
    udp_ports: tuple[int, int] | None = None
    ice_servers: tuple[IceServer, ...] = ()
    other_sites: bool = False
    handshake_timeout: float = 10.0
    media_timeout: float = 5.0


def parse_ice_servers(text: str) -> tuple[IceServer, ...]:
    """Addresses separated by commas, or JSON as in a browser's `iceServers`. Raises ValueError."""
    if not text.lstrip().startswith("["):
        return tuple(IceServer(url.strip()) for url in text.split(",") if url.strip())
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("this is no JSON list of ICE servers") from None
    return tuple(server for row in rows for server in _servers(row))


def parse_udp_ports(text: str) -> tuple[int, int]:
    """`"50000-50999"`. Raises ValueError."""
    match = _PORTS.fullmatch(text.strip())
    if not match or not 1024 <= int(match[1]) <= int(match[2]) <= 65535:
        raise ValueError("a range of ports from 1024 to 65535, such as 50000-50999")
    return int(match[1]), int(match[2])


def parse_address(text: str) -> str:
    """An IP address that others can reach. Raises ValueError."""
    address = ipaddress.ip_address(text.strip())
    if address.is_unspecified or address.is_multicast:
        raise ValueError("an IP address that browsers can reach")
    return str(address)


def _servers(row: object) -> list[IceServer]:
    if not isinstance(row, dict) or not set(row) <= {"urls", "username", "credential"}:
        raise ValueError("an ICE server is an object of urls, username and credential")
    username, credential = row.get("username"), row.get("credential")
    urls = row.get("urls")
    texts = urls if isinstance(urls, list) else [urls]
    if not all(isinstance(text, str) for text in (*texts, username or "", credential or "")):
        raise ValueError("urls, username and credential of an ICE server are texts")
    return [IceServer(str(url), username, credential) for url in texts]


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
