"""`longwave token`: a token for somebody, a path into a private room, or what edges check such paths with."""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast, get_args

from contracts.access import ROOM_ROLES, Grant, Role
from contracts.errors import BadRequest, UsageError
from contracts.ids import check_room, check_speaker
from contracts.listen import MAX_LISTEN_SECONDS, listen_path
from contracts.tokens import Keys
from longwave.settings import SecretSettings, load_settings

_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of three: a JWT for `role`; `listen`, the path into `room`; `edge_keys`."""

    role: str | None = None
    room: str | None = None
    name: str | None = None
    good_for: str = "12h"
    listen: bool = False
    edge_keys: bool = False


def run_token(wanted: Wanted) -> None:
    """Print it on stdout. Raises UsageError, also where there is no key."""
    keys = load_settings(SecretSettings, {}).token_keys()
    if keys is None:
        raise UsageError("set LONGWAVE_KEYS or LONGWAVE_TOKEN, as the server has them: they sign the token")
    sys.stdout.write("".join(f"{line}\n" for line in made(keys, wanted, int(time.time()))))


def made(keys: Keys, wanted: Wanted, now: int) -> Iterator[str]:
    """What is wanted, line by line. `now` in seconds since 1970. Raises UsageError that names the option."""
    if [wanted.role is not None, wanted.listen, wanted.edge_keys].count(True) != 1:
        raise UsageError("one of --role, --listen and --edge-keys")
    if wanted.role is not None:
        yield make_token(keys, wanted.role, wanted.room, wanted.name, wanted.good_for, now)
    elif wanted.listen:
        yield make_path(keys, wanted.room, wanted.good_for, now)
    else:
        yield from (f"{kid} {key}" for kid, key in keys.listen.by_kid.items())


def make_path(keys: Keys, room: str | None, good_for: str, now: int) -> str:
    """What stands before `/live/{room}/…` for who is let in: `/p/TOKEN`. Raises UsageError."""
    if room is None:
        raise UsageError("--room: --listen lets into one room")
    seconds = _seconds(good_for)
    if seconds > MAX_LISTEN_SECONDS:
        raise UsageError("--for: --listen lets in for 366d at most")
    try:
        return listen_path(keys.listen.sign(check_room(room), now + seconds))
    except BadRequest as error:
        raise UsageError(error.message) from None


def make_token(keys: Keys, role: str, room: str | None, name: str | None, good_for: str, now: int) -> str:
    """A token that is good from `now` (seconds since 1970) on for `good_for`, such as `12h`.

    It has an id of its own, by which a host can shut it out. Raises UsageError that names the option.
    """
    if role not in get_args(Role):
        raise UsageError(f"--role: {', '.join(get_args(Role))}")
    if room is None and role in ROOM_ROLES:
        raise UsageError(f"--room: a {role}'s token is for one room")
    seconds = _seconds(good_for)
    try:
        grant = Grant(
            cast("Role", role),
            None if room is None else check_room(room),
            None if name is None else check_speaker(name),
            secrets.token_urlsafe(12),
        )
    except BadRequest as error:
        raise UsageError(error.message) from None
    return keys.sign(grant, now + seconds)


def _seconds(good_for: str) -> int:
    matched = _DURATION.fullmatch(good_for)
    if matched is None:
        raise UsageError("--for: a number and s, m, h or d, such as 12h")
    return int(matched[1]) * _SECONDS[matched[2]]
