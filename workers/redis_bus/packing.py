"""Connections that write commands as fast as they read answers: in C.

The client library reads with hiredis, but its asynchronous connections put commands together word by word in
Python. A read of 50 takes is a command of 100 words, many times a second: that was a quarter of what a
worker's reader cost.
"""

from __future__ import annotations

from collections.abc import Iterable

from hiredis import pack_command
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.typing import EncodableT


class _PacksInC:
    """Both ways in which a connection is told to write. The first word may be two: `SCRIPT LOAD`."""

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """One command."""
        first, *rest = args
        words = first.split() if isinstance(first, bytes | str) else (first,)
        packed: bytes = pack_command((*words, *rest))
        return [packed]

    def pack_commands(self, commands: Iterable[Iterable[EncodableT]]) -> list[bytes]:
        """Several, to be sent together."""
        return [packed for command in commands for packed in self.pack_command(*command)]


class PlainConnection(_PacksInC, Connection):
    """To a server at a known address."""


class SecureConnection(_PacksInC, SSLConnection):
    """The same over TLS."""


class ManagedConnection(_PacksInC, SentinelManagedConnection):
    """To the server that Sentinels name."""


class ManagedSecureConnection(_PacksInC, SentinelManagedSSLConnection):
    """The same over TLS."""
