"""Where a bus is: a Redis by its address, or whoever Sentinels say is the master."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from contracts.errors import UsageError

_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
# Scheme → (over TLS, through Sentinels).
_SCHEMES: Final = {
    "redis": (False, False),
    "rediss": (True, False),
    "redis+sentinel": (False, True),
    "rediss+sentinel": (True, True),
}
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a server; nothing of it is ever shown."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BusAddress:
    """`hosts` are one Redis, or, with a `master`, the Sentinels that know who that is."""

    hosts: tuple[tuple[str, int], ...]
    db: int = 0
    tls: bool = False
    master: str | None = None
    login: Credentials = Credentials()
    sentinel_login: Credentials = Credentials()

    @property
    def name(self) -> str:
        """For people, logs and metrics: without any secret."""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        database = f"/{self.db}" if self.db else ""
        return f"{hosts}{database}" if self.master is None else f"{self.master}@{hosts}{database}"

    def conceal(self, text: str) -> str:
        """`text` without our passwords: an old server names in its errors what it was sent."""
        for secret in (self.login.password, self.sentinel_login.password):
            if secret:
                text = text.replace(secret, "***")
        return text


def parse_bus(url: str) -> BusAddress:
    """`redis://[user:password@]host[:port][/db]`, or `redis+sentinel://…host:port,host:port/MASTER[/db]`.

    `rediss` is TLS, with the system's authorities. Sentinels that want to know who asks are told
    `?sentinel_username=…&sentinel_password=…`. Raises UsageError, which repeats no password.
    """
    try:
        return _parse(urlsplit(url))
    except ValueError as error:
        raise UsageError(
            f"a bus is redis://HOST:PORT or redis+sentinel://HOST:PORT,…/MASTER: {error}"
        ) from None


def _parse(parts: SplitResult) -> BusAddress:
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{parts.scheme or 'nothing'} is no scheme of those")
    tls, sentinel = _SCHEMES[parts.scheme]
    login, _, hosts = parts.netloc.rpartition("@")
    path = [unquote(piece) for piece in parts.path.split("/") if piece]
    options = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    if options.keys() - (_SENTINEL_OPTIONS if sentinel else set()):
        raise ValueError("an option that is not known here")
    master = path.pop(0) if sentinel and path else None
    if sentinel and master is None:
        raise ValueError("the name of the master is missing")
    if len(path) > 1 or (path and not path[0].isdecimal()):
        raise ValueError("the database is a number")
    addresses = hosts.split(",")
    if len(addresses) > 1 and not sentinel:
        raise ValueError("one host, or --bus once for each")
    username, _, password = login.partition(":")
    return BusAddress(
        hosts=tuple(_host(text, _SENTINEL_PORT if sentinel else _REDIS_PORT) for text in addresses),
        db=int(path[0]) if path else 0,
        tls=tls,
        master=master,
        login=Credentials(unquote(username) or None, unquote(password) or None),
        sentinel_login=Credentials(
            *(options.get(name, [None])[0] for name in ("sentinel_username", "sentinel_password"))
        ),
    )


def _host(text: str, default_port: int) -> tuple[str, int]:
    """`host`, `host:port` or `[v6]:port`. Raises ValueError."""
    parts = urlsplit(f"//{text}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("a port is a number up to 65535") from None
    if not parts.hostname:
        raise ValueError("a host is missing")
    return parts.hostname, default_port if port is None else port
