"""Who may change anything: the check of the bearer token, before any body is read."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from contracts.errors import Forbidden, Unauthorized


@dataclass(frozen=True, slots=True)
class TokenGate:
    """Lets through who shows `token`; everybody when there is none (a first try on a loopback address)."""

    token: str | None = field(default=None, repr=False)

    def check(self, authorization: str | None) -> None:
        """Check the header's value. Raises Unauthorized (none shown) or Forbidden (a wrong one)."""
        if self.token is None:
            return
        if authorization is None:
            raise Unauthorized(
                "this needs a token: send 'Authorization: Bearer …' with the value of LONGWAVE_TOKEN"
            )
        scheme, _, shown = authorization.partition(" ")
        # Header bytes that are no UTF-8 arrive as surrogates.
        bearer = shown.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(bearer, self.token.encode()):
            raise Forbidden("this token does not allow it")
