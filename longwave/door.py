"""Where a server listens: its port is taken first, so that what needs to know the URL can be made before."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from contracts.errors import DependencyError, UsageError
from longwave.settings import HttpSettings

_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Door:
    """Sockets that are bound and do not listen yet; `url` is how this machine reaches them."""

    sockets: tuple[socket.socket, ...]
    url: str

    @property
    def port(self) -> int:
        """The port, which was not known before where any was taken."""
        return int(self.sockets[0].getsockname()[1])


@contextmanager
def door(settings: HttpSettings) -> Iterator[Door]:
    """Take the port, before what needs to know it is made. Raises DependencyError."""
    with ExitStack() as stack:
        try:
            sockets = tuple(_bound(settings, stack))
        except OSError as error:
            raise DependencyError(cannot_listen(settings, error)) from None
        scheme = "http" if settings.tls_cert is None else "https"
        yield Door(sockets, f"{scheme}://{_shown(settings.host)}:{sockets[0].getsockname()[1]}")


def _bound(settings: HttpSettings, stack: ExitStack) -> Iterator[socket.socket]:
    """A socket for each address of the host, all with one port."""
    port = settings.port or 0
    for family, kind, protocol, _, address in dict.fromkeys(
        socket.getaddrinfo(settings.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    ):
        bound = stack.enter_context(socket.socket(family, kind, protocol))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address[0], port, *address[2:]))
        bound.setblocking(False)  # noqa: FBT003 - its name says it
        port = bound.getsockname()[1]
        yield bound


def said_to_be_at(place: Door, settings: HttpSettings, advertise: object) -> str:
    """The URL at which others reach a server that listens at `place`; "" where nobody can know it.

    That is so where it listens on every address.
    """
    if advertise is not None:
        return str(advertise).rstrip("/")
    return "" if settings.host in _EVERYWHERE else place.url


def reached_at(place: Door, settings: HttpSettings, advertise: object) -> str:
    """The same for a server that others have to reach. Raises UsageError where they could not."""
    url = said_to_be_at(place, settings, advertise)
    if not url:
        raise UsageError(
            f"{settings.host} is no address that others could reach: give --advertise http://HOST:PORT"
        )
    return url


def cannot_listen(settings: HttpSettings, error: OSError) -> str:
    """Why a port cannot be had, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        place = f"port {settings.port} on {settings.host}"
        return f"{place} is taken: end what listens there or give another --port"
    if error.errno == errno.EACCES:
        return f"port {settings.port} needs more rights: choose one above 1023"
    return f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"


def _shown(host: str) -> str:
    """`host` as one would type it into a browser on this machine."""
    if host in _EVERYWHERE:
        return "localhost"
    return f"[{host}]" if ":" in host else host
