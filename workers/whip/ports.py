"""UDP sockets for one peer: where media comes in."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import random
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.errors import OverCapacity
from workers.whip.settings import WhipSettings

LOOPBACK: Final = ("127.0.0.1", "::1")
# So many ports of a range are tried for a peer before it is told to come back.
_MAX_TRIES: Final = 500
# An interface that went away, or IPv6 that is switched off: the other addresses still do.
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Door:
    """Where peers may come in. `addresses` are the server's own; None: all that the machine has.

    `ports` are the first and the last to use, None for any; `public` is an address that NAT maps to us.
    """

    addresses: tuple[str, ...] | None
    ports: tuple[int, int] | None = None
    public: str | None = None

    def bind(self, found: Sequence[str]) -> list[socket.socket]:
        """A socket on each address; `found` are those of the machine's interfaces. Raises OverCapacity.

        With a range of ports a peer takes one number, the same on every address.
        """
        # Loopback last: it serves pages on this machine, and a real address serves them as well.
        addresses = self.addresses or (*found, *LOOPBACK)
        for port in _numbers(self.ports):
            sockets = _bind_all(addresses, port)
            if sockets:
                return sockets
        raise OverCapacity("no UDP port is free for another speaker: see LONGWAVE_WHIP_UDP_PORTS")


async def open_door(settings: WhipSettings) -> Door:
    """The door that goes with the address of the HTTP server.

    Behind a proxy on the same machine that is loopback: with a public address, media comes in everywhere.
    """
    addresses = await _resolve(settings.host)
    kinds = [ipaddress.ip_address(address) for address in addresses]
    everywhere = any(kind.is_unspecified for kind in kinds)
    everywhere |= settings.address is not None and all(kind.is_loopback for kind in kinds)
    return Door(None if everywhere else addresses, settings.udp_ports, settings.address)


async def _resolve(host: str) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    rows = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    # A link-local address comes as fe80::1%eth0, whose zone no browser understands.
    return tuple(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows))


def _numbers(ports: tuple[int, int] | None) -> Iterator[int]:
    if ports is None:
        yield 0
        return
    low, high = ports
    numbers = list(range(low, high + 1))
    random.shuffle(numbers)
    yield from numbers[:_MAX_TRIES]


def _bind_all(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """All that can be had at `port`; none where somebody has it at one of them."""
    sockets: list[socket.socket] = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)  # noqa: FBT003 - the library's own parameter
        try:
            sock.bind((address, port))
        except OSError as error:
            sock.close()
            if error.errno in _NOT_HERE:
                continue
            for other in sockets:
                other.close()
            return []
        sockets.append(sock)
    return sockets
