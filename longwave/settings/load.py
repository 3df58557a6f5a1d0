"""Reads settings from flags, `LONGWAVE_…` variables, a file and defaults, in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource

from contracts.errors import UsageError
from longwave.settings.file import read_settings_file
from longwave.settings.roles import ROLES

S = TypeVar("S", bound=BaseSettings)

Source = Literal["flag", "env", "file", "default"]
"""Where a value came from."""
CONFIG: Final = "LONGWAVE_CONFIG"
_FILES_KEYS: Final = frozenset(name for role in ROLES.values() for name in role.model_fields)
"""One file may serve several roles: what another role alone knows is no error."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """Settings, and where each came from; `file` is the one that was read, if any."""

    settings: S
    sources: Mapping[str, Source]
    file: Path | None

    def origin_of(self, name: str) -> str:
        """Where a value came from, as one would look for it."""
        return spelled(name, self.sources[name], self.file)


def load_settings(kind: type[S], given: dict[str, Any]) -> S:
    """Settings of `kind` from what flags gave (None: not given), the environment, a file and defaults.

    The file is what `config` names in `given`, or LONGWAVE_CONFIG. Raises UsageError that names the flag, the
    variable or the file's key, whichever the value came from.
    """
    return loaded(kind, given).settings


def loaded(kind: type[S], given: Mapping[str, Any]) -> Loaded[S]:
    """What `load_settings` gives, with the sources. Raises UsageError."""
    flags = {name: value for name, value in given.items() if value is not None}
    file = _file(flags.pop("config", None))
    from_file = {} if file is None else read_settings_file(file, _FILES_KEYS)
    from_environment = EnvSettingsSource(kind)()

    def source_of(name: str) -> Source:
        if name in flags:
            return "flag"
        if name in from_environment:
            return "env"
        return "file" if name in from_file else "default"

    sources = {name: source_of(name) for name in kind.model_fields}
    # What is handed over wins over the environment, which pydantic reads by itself.
    chosen = flags | {name: value for name, value in from_file.items() if sources.get(name) == "file"}
    try:
        return Loaded(kind(**chosen), sources, file)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        place = spelled(name, sources.get(name, "env"), file)
        raise UsageError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None


def spelled(name: str, source: Source, file: Path | None) -> str:
    """A setting as it is called where its value came from."""
    match source:
        case "flag":
            return "--" + name.replace("_", "-")
        case "file":
            return f"{file}: {name}"
        case _:
            return "LONGWAVE_" + name.upper()


def _file(flag: Path | None) -> Path | None:
    if flag is not None:
        return flag
    named = os.environ.get(CONFIG)
    return Path(named) if named else None
