"""A file of settings: TOML, its keys called as the settings are."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from contracts.errors import UsageError


def read_settings_file(path: Path, known: Collection[str]) -> dict[str, Any]:
    """What a file says. Raises UsageError where it cannot be read, or names what is not among `known`."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: the settings cannot be read: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{path}: not TOML: {error}") from None
    for name in found:
        if name not in known:
            near = get_close_matches(name, known, 1, cutoff=0.75)
            hint = f"did you mean {near[0]}?" if near else "`longwave settings` shows what there is"
            raise UsageError(f"{path}: {name!r:.80} is no setting; {hint}")
    return found
