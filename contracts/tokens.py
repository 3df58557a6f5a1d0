"""Tokens: the admin's secret, and JWTs (HS256) that say what their bearer may do."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, get_args

import jwt
from jwt.types import Options

from contracts.access import ROOM_ROLES, Grant, Role
from contracts.errors import BadRequest, Forbidden, Unauthorized, UsageError
from contracts.ids import check_room, check_speaker
from contracts.listen import ListenKeys, listen_key, unknown_address

# RFC 7518 3.2: a key of at least the size of the hash.
MIN_SECRET_BYTES: Final = 32
DERIVED_KID: Final = "token"
# RFC 7519 4.1.4: for the clocks of those who sign.
LEEWAY_SECONDS: Final = 10.0
_ALGORITHM: Final = "HS256"
_KID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_TOKEN_ID: Final = 128
# A hundred million years.
_MOST_SECONDS: Final = 1e16
# 16 MB and some 50 ms: once for a process, and for each guess at the admin's token from a speaker's.
_SCRYPT_COST: Final = {"n": 2**14, "r": 8, "p": 1}


@lru_cache(maxsize=8)  # a process asks for its own several times while it starts
def derived_secret(token: str) -> bytes:
    """The signing secret that goes with an admin token: 32 bytes of scrypt (RFC 7914), N=16384, r=8, p=1.

    The salt is fixed, so that all servers with one token have one key; slow, so that nobody who has a
    speaker's token finds the admin's by trying.
    """
    return hashlib.scrypt(token.encode(), salt=b"longwave signing key", dklen=32, **_SCRYPT_COST)


class Keys:
    """Secrets by key id (`kid`). The first signs, all of them verify: that is how a key is replaced."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        if not secrets:
            raise UsageError("there is no key to sign tokens with: set LONGWAVE_KEYS or LONGWAVE_TOKEN")
        self._secrets = dict(secrets)
        self._first = next(iter(self._secrets))
        self.listen: Final = ListenKeys({kid: listen_key(secret) for kid, secret in secrets.items()})
        """Those of listen tokens, in the same order."""

    def sign(self, grant: Grant, expires: int) -> str:
        """A token for `grant`, good until `expires` (seconds since 1970)."""
        who = {"role": grant.role, "room": grant.room, "name": grant.name, "jti": grant.id}
        claims = {name: value for name, value in who.items() if value is not None}
        return jwt.encode(
            {**claims, "exp": expires}, self._secrets[self._first], _ALGORITHM, headers={"kid": self._first}
        )

    def verify(self, token: str, now: float) -> Grant:
        """What `token` grants at `now` (seconds since 1970). Raises Forbidden with the reason."""
        try:
            secret = self._secret(jwt.get_unverified_header(token).get("kid", self._first))
            # Times are checked here, by the caller's clock; `aud` and `iss` are for others.
            claims = jwt.decode(token, secret, [_ALGORITHM], options=_NOT_BY_THE_LIBRARY)
        except jwt.InvalidAlgorithmError:
            raise Forbidden(f"this token is not signed with {_ALGORITHM}") from None
        except jwt.InvalidSignatureError:
            raise Forbidden("this token's signature is wrong: it was signed with another key") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Forbidden("this token is not known here: it is neither a JWT nor LONGWAVE_TOKEN") from None
        _check_times(claims, now)
        return _grant(claims)

    def _secret(self, kid: object) -> bytes:
        secret = self._secrets.get(kid) if isinstance(kid, str) else None
        if secret is None:
            raise Forbidden("this token is signed with a key that is not known here: see its kid")
        return secret


class TokenGate:
    """Tells who asks by the token that is shown.

    With neither `token` nor `keys` everybody is admin (a first try on a loopback address). `clock` gives
    seconds since 1970, which is what a token's end is counted in.
    """

    def __init__(
        self, token: str | None = None, keys: Keys | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._token = None if token is None else token.encode()
        self._keys = keys
        self._clock = clock

    def admit(self, shown: str | None) -> Grant:
        """Who shows the token `shown`. Raises Unauthorized (none is shown) or Forbidden (no good one)."""
        if self._token is None and self._keys is None:
            return Grant("admin")
        if shown is None:
            raise Unauthorized("this needs a token: send 'Authorization: Bearer …'")
        # Header bytes that are no UTF-8 arrive as surrogates.
        if self._token is not None and hmac.compare_digest(
            shown.encode(errors="surrogateescape"), self._token
        ):
            return Grant("admin")
        if self._keys is None:
            raise Forbidden("this token is not known here: it is not the value of LONGWAVE_TOKEN")
        return self._keys.verify(shown, self._clock())

    @property
    def listen(self) -> ListenKeys | None:
        """What listen tokens are signed with; None where everybody hears everything."""
        return None if self._keys is None else self._keys.listen

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def check_listen(self, token: str, room: str) -> None:
        """Return where a listen token lets into `room`. Raises ListenRefused."""
        if self._keys is None:
            raise unknown_address()
        self._keys.listen.check(token, room, self._clock())


class RoleToken:
    """What this process shows to others of its kind: called, it gives a token that is good for a while."""

    _LIFE_SECONDS: Final = 24 * 3600

    def __init__(self, keys: Keys, grant: Grant, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._grant = grant
        self._clock = clock
        self._expires = 0
        self._token = ""

    def __call__(self) -> str:
        """The token; a new one from half of its life on, so that clocks may differ by as much."""
        now = int(self._clock())
        if self._expires - now < self._LIFE_SECONDS // 2:
            self._expires = now + self._LIFE_SECONDS
            self._token = self._keys.sign(self._grant, self._expires)
        return self._token


def parse_keys(text: str) -> dict[str, bytes]:
    """`"kid=secret,kid2=secret2"` → secrets by key id. Raises UsageError, which shows none of them."""
    secrets: dict[str, bytes] = {}
    for pair in text.split(","):
        kid, found, secret = pair.strip().partition("=")
        if not found or not _KID.fullmatch(kid):
            raise UsageError(
                "LONGWAVE_KEYS: kid=secret, several with commas between; a kid is 1 to 64 of A-Za-z0-9._-"
            )
        if kid in secrets:
            raise UsageError(f"LONGWAVE_KEYS: {kid} is there twice")
        secrets[kid] = secret.encode()
        if len(secrets[kid]) < MIN_SECRET_BYTES:
            raise UsageError(
                f"LONGWAVE_KEYS: the secret of {kid} has less than {MIN_SECRET_BYTES} bytes: "
                "openssl rand -hex 32 makes one"
            )
    return secrets


_NOT_BY_THE_LIBRARY: Final[Options] = {
    "verify_aud": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_iss": False,
    "verify_jti": False,
    "verify_nbf": False,
    "verify_sub": False,
}


def _check_times(claims: Mapping[str, object], now: float) -> None:
    expires = _number(claims, "exp")
    if expires is None:
        raise Forbidden("this token has no end: it needs exp")
    # Said this way round, NaN, which JSON of others may hold, is over.
    if not expires > now - LEEWAY_SECONDS:
        raise Forbidden("this token has expired: ask for a new one")
    begins = _number(claims, "nbf")
    if begins is not None and not begins <= now + LEEWAY_SECONDS:
        raise Forbidden("this token is not good yet: see its nbf, and the clocks")


def _number(claims: Mapping[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519 2), None where the claim is not there."""
    value = claims.get(name)
    # bool is an int to Python, but `true` is no number to JSON.
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise Forbidden(f"this token's {name} is not a number of seconds")
    # Python's JSON knows Infinity, and integers that no float holds: neither can be reckoned with.
    if value is not None and abs(value) >= _MOST_SECONDS:
        raise Forbidden(f"this token's {name} is no time")
    return value


def _grant(claims: Mapping[str, object]) -> Grant:
    for role in get_args(Role):
        if claims.get("role") == role:
            break
    else:
        raise Forbidden(f"this token's role is none of {', '.join(get_args(Role))}")
    room, name, token_id = (_text(claims, claim) for claim in ("room", "name", "jti"))
    if room is None and role in ROOM_ROLES:
        raise Forbidden(f"a {role}'s token is for one room: it needs the claim room")
    try:
        return Grant(
            role,
            None if room is None else check_room(room),
            None if name is None else check_speaker(name),
            token_id,
            _number(claims, "exp"),
        )
    except BadRequest as error:
        raise Forbidden(f"this token cannot be used: {error.message}") from None


def _text(claims: Mapping[str, object], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_TOKEN_ID):
        raise Forbidden(f"this token's {name} is not a text of at most {_MAX_TOKEN_ID} characters")
    return value
