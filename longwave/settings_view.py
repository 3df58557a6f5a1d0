"""`longwave settings`: what a role would run with, and where each value came from. No secret is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import AnyUrl, SecretStr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.errors import UsageError
from longwave.publish_view import printable
from longwave.settings import ROLES, Loaded, loaded

MASK: Final = "***"
_SECRET_PART: Final = re.compile(r"(?:password|passwd|credential|secret|token|access_key)$", re.IGNORECASE)
_BUS: Final = re.compile(r"rediss?(\+sentinel)?://")
_SECRET_NAMES: Final = frozenset({"credential", "password"})
# In a pipe nothing has to fit: a line is as long as what it says.
_PIPE: Final = 4096


def run_settings(role: str, given: Mapping[str, Any], *, as_json: bool) -> None:
    """Print every setting of a role. Raises UsageError."""
    if role not in ROLES:
        raise UsageError(f"settings of what? one of {', '.join(ROLES)}, then its options")
    found = loaded(ROLES[role], given)
    if as_json:
        print(json.dumps(to_json(role, found), indent=2, ensure_ascii=False), flush=True)  # noqa: T201
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE)
    console.print(to_table(found))
    if found.file is not None:
        console.print(Text(f"file: {printable(str(found.file))}"), soft_wrap=True)


def to_json(role: str, found: Loaded[Any]) -> dict[str, object]:
    """Every setting, by name."""
    return {
        "role": role,
        "file": None if found.file is None else str(found.file),
        "settings": {
            name: {
                "value": shown(getattr(found.settings, name)),
                "source": found.sources[name],
                "description": field.description,
            }
            for name, field in type(found.settings).model_fields.items()
        },
    }


def to_table(found: Loaded[Any]) -> Table:
    """A line a setting, by name; what was set is bright, defaults are dim."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("setting", "value", "from"):
        table.add_column(name, no_wrap=name == "setting", overflow="fold")
    table.add_column("what it is", style="dim", overflow="fold", ratio=1)
    for name, field in sorted(type(found.settings).model_fields.items()):
        source = found.sources[name]
        style = "dim" if source == "default" else "bold"
        table.add_row(
            Text(name),
            Text(_line(shown(getattr(found.settings, name))), style=style),
            Text(source, style=style),
            Text(field.description or ""),
        )
    return table


def shown(value: object) -> Any:  # noqa: ANN401 - JSON
    """A value as JSON that anybody may see."""
    match value:
        case SecretStr():
            return _shown_secret(value.get_secret_value())
        case str() | AnyUrl() | Path():
            return without_password(str(value))
        case tuple() | list():
            return [shown(each) for each in value]
        case None | bool() | int() | float():
            return value
    if is_dataclass(value):
        return {
            each.name: MASK
            if each.name in _SECRET_NAMES and getattr(value, each.name) is not None
            else shown(getattr(value, each.name))
            for each in fields(value)
        }
    return str(value)


def without_password(text: str) -> str:
    """`text`, and where it is a URL without the password in it."""
    if "://" not in text:
        return text
    try:
        login, at, place = urlsplit(text).netloc.rpartition("@")
    except ValueError:
        return MASK
    if at:
        user, colon, _ = login.partition(":")
        text = text.replace(f"{login}@{place}", f"{user}{colon}{MASK if colon else ''}@{place}", 1)
    place, mark, query = text.partition("?")
    return place + mark + "&".join(map(_shown_part, query.split("&")))


def _shown_part(part: str) -> str:
    """`name=value` of a query: a value may be a URL itself, with a password of its own."""
    name, is_, value = part.partition("=")
    if is_ and _SECRET_PART.search(name):
        return f"{name}={MASK}"
    plain = unquote(value)
    shown = without_password(plain)
    return part if shown == plain else f"{name}={shown}"


def _shown_secret(secret: str) -> str:
    """A bus' URL without its password; of anything else, nothing."""
    return without_password(secret) if _BUS.match(secret) else MASK


def _line(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_line(each) for each in value) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name}={_line(each)}" for name, each in value.items() if each is not None)
    return "none" if value is None else printable(str(value))
