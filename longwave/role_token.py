"""What the roles of one installation show to one another."""

from __future__ import annotations

from collections.abc import Callable

from contracts.access import Grant
from contracts.tokens import Keys, RoleToken


def role_token(keys: Keys | None) -> Callable[[], str] | None:
    """Gives a token of role publish, fresh when it is needed; None where everything is open."""
    return None if keys is None else RoleToken(keys, Grant("publish"))


def edge_token(token: str | None, keys: Keys | None) -> Callable[[], str] | None:
    """The same for an edge, which stands where more people reach it: it need not know what signs tokens.

    Where `token` is a signed one itself (`longwave token --role publish`) it is shown as it is.
    """
    if token is None or not _is_signed(token):
        return role_token(keys)
    return lambda: token


def _is_signed(token: str) -> bool:
    """Whether it looks like a JWT: three parts, the first of which is JSON in base64 (RFC 7519 3.1)."""
    return token.startswith("eyJ") and token.count(".") == 2
