"""Listen tokens: what lets people into private rooms, as the first segment of a path.

    /p/{kid}.{expiry}.{mac}/live/{room}/…

`expiry` is in whole seconds since 1970, `mac` the lower-case hex of HMAC-SHA256 over `{kid}.{expiry}.{room}`.
The key is text: the 64 hex digits of HMAC-SHA256(secret, "longwave listen key"), of the secret with that
`kid` in LONGWAVE_KEYS. An edge is given these keys alone: it can let people in, but make no speakers' tokens.

A token says nothing about who listens, so all listeners of a room may share one, and a cache may keep what
it let in under the path without it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.errors import Forbidden

LISTEN_PREFIX: Final = "/p/{listen}"
"""What stands before the path of what is listened to, as a router spells it; `listen` is the token."""
MAX_LISTEN_SECONDS: Final = 366 * 86_400
"""The longest that a token lets in: a feed's subscribers come back for a year."""
MINUTE: Final = 60
"""Seconds: ends of tokens are whole minutes, so that those who ask in the same one share their URLs."""
_PURPOSE: Final = b"longwave listen key"
_IN_A_PATH: Final = re.compile(r"^/p/[^/?#]*")
_TOKEN: Final = re.compile(r"([A-Za-z0-9._-]{1,64})\.([1-9][0-9]{0,11})\.([0-9a-f]{64})")


def listen_key(secret: bytes) -> str:
    """The key of listen tokens that belongs to a signing secret: 64 hex digits."""
    return hmac.new(secret, _PURPOSE, hashlib.sha256).hexdigest()


def listen_mac(key: str, kid: str, expires: int, room: str) -> str:
    """The last part of a token: 64 hex digits."""
    return hmac.new(key.encode(), f"{kid}.{expires}.{room}".encode(), hashlib.sha256).hexdigest()


class ListenRefused(Forbidden):
    """A listen token that does not let in here. `outcome` is the reason, as it is counted."""

    def __init__(self, message: str, outcome: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class ListenKeys:
    """Keys of listen tokens by key id. The first signs, all of them verify."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)
        self._first = next(iter(self._keys))

    @property
    def by_kid(self) -> Mapping[str, str]:
        """What an edge is given."""
        return MappingProxyType(self._keys)

    def sign(self, room: str, expires: int) -> str:
        """A token for `room`, good until `expires` (seconds since 1970)."""
        return f"{self._first}.{expires}.{listen_mac(self._keys[self._first], self._first, expires, room)}"

    def check(self, token: str, room: str, now: float) -> None:
        """Return where `token` lets into `room` at `now`. Raises ListenRefused with the reason."""
        found = _TOKEN.fullmatch(token)
        key = self._keys.get(found[1]) if found else None
        if found is None or key is None:
            raise unknown_address()
        if not hmac.compare_digest(listen_mac(key, found[1], int(found[2]), room), found[3]):
            raise ListenRefused("this address is not good for this room", "forged")
        if now >= int(found[2]):
            raise ListenRefused("this address has expired: ask whoever invited you for a new one", "expired")


def unknown_address() -> ListenRefused:
    """What is no token, or was signed with a key that is not (any more) known here."""
    return ListenRefused("this address is not known here: ask whoever invited you for a new one", "unknown")


def listen_path(token: str) -> str:
    """What stands before every path that `token` lets in at: `/p/TOKEN`."""
    return LISTEN_PREFIX.replace("{listen}", token)


def listen_token(path: str) -> str:
    """The token of a path that `listen_path` gave."""
    return path.removeprefix(listen_path(""))


def without_listen_token(path: str) -> str:
    """`path` as it may be logged: with dots in the place of a listen token."""
    return _IN_A_PATH.sub("/p/…", path)


def listen_expiry(now: float, seconds: int, latest: float | None = None) -> int:
    """When a token ends that is asked for at `now` for so many seconds: at the end of a minute.

    Never after `latest`, the end of whatever it was asked for with.
    """
    expires = -(-(int(now) + seconds) // MINUTE) * MINUTE
    return expires if latest is None else min(expires, int(latest))
