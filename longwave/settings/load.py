"""Reads settings from flags, `LONGWAVE_…` variables and defaults, in this order."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from contracts.errors import UsageError

S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S], given: dict[str, Any]) -> S:
    """Settings of `kind` from what flags gave (None: not given), the environment and defaults.

    Raises UsageError that names the flag or the variable, whichever the value came from.
    """
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        flagged = given.get(name) is not None
        option = "--" + name.replace("_", "-") if flagged else "LONGWAVE_" + name.upper()
        raise UsageError(f"{option}: {first['msg'].removeprefix('Value error, ')}") from None
