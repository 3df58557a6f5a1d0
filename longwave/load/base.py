"""Servers, as addresses name them."""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple

from yarl import URL

from contracts.errors import UsageError

_AGENT: Final = "longwave-load"


class Base(NamedTuple):
    """A server: `scheme` is http or https."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """`host:port`, as in an address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, as far as its name or address says."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def head(self) -> bytes:
        """What stands in every request after its path."""
        fields = f"Host: {self.authority}\r\nUser-Agent: {_AGENT}\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"
        return f" HTTP/1.1\r\n{fields}".encode()


def base_of(url: URL) -> Base:
    """The server of an address. Raises UsageError."""
    if url.scheme not in {"http", "https"} or not url.host or url.port is None:
        raise UsageError(f"{url} is not like http://127.0.0.1:8080/listen/ROOM")
    return Base(url.scheme, url.host, url.port)
