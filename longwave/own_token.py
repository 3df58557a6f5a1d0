"""What the roles of one installation show to one another."""

from __future__ import annotations

from collections.abc import Callable

from contracts.access import Grant
from contracts.tokens import Keys, OwnToken


def own_token(keys: Keys | None) -> Callable[[], str] | None:
    """Gives a token of role publish, fresh when it is needed; None where everything is open."""
    return None if keys is None else OwnToken(keys, Grant("publish"))
