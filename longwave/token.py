"""`longwave token`: makes a token for somebody."""

from __future__ import annotations

import re
import secrets
import sys
import time
from typing import Final, cast, get_args

from contracts.access import ROOM_ROLES, Grant, Role
from contracts.errors import BadRequest, UsageError
from contracts.ids import check_room, check_speaker
from contracts.tokens import Keys
from longwave.settings import SecretSettings, load_settings

_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def run_token(role: str, room: str | None, name: str | None, good_for: str) -> None:
    """Print a token on stdout. Raises UsageError, also where there is no key."""
    keys = load_settings(SecretSettings, {}).token_keys()
    if keys is None:
        raise UsageError("set LONGWAVE_KEYS or LONGWAVE_TOKEN, as the server has them: they sign the token")
    sys.stdout.write(make_token(keys, role, room, name, good_for, int(time.time())) + "\n")


def make_token(keys: Keys, role: str, room: str | None, name: str | None, good_for: str, now: int) -> str:
    """A token that is good from `now` (seconds since 1970) on for `good_for`, such as `12h`.

    It has an id of its own, by which a host can shut it out. Raises UsageError that names the option.
    """
    if role not in get_args(Role):
        raise UsageError(f"--role: {', '.join(get_args(Role))}")
    if room is None and role in ROOM_ROLES:
        raise UsageError(f"--room: a {role}'s token is for one room")
    matched = _DURATION.fullmatch(good_for)
    if matched is None:
        raise UsageError("--for: a number and s, m, h or d, such as 12h")
    try:
        grant = Grant(
            cast("Role", role),
            None if room is None else check_room(room),
            None if name is None else check_speaker(name),
            secrets.token_urlsafe(12),
        )
    except BadRequest as error:
        raise UsageError(error.message) from None
    return keys.sign(grant, now + int(matched[1]) * _SECONDS[matched[2]])
