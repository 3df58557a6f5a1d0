"""Values as an environment file has them: an empty one is none, and lists have commas."""

from __future__ import annotations

from typing import Annotated

from pydantic import AnyHttpUrl, BeforeValidator, IPvAnyNetwork, SecretStr
from pydantic_settings import NoDecode


def _none_if_empty(value: object) -> object:
    # `LONGWAVE_TOKEN=` in an environment file means none, not the empty one.
    empty = value.get_secret_value() == "" if isinstance(value, SecretStr) else value == ""
    return None if empty else value


def _split(value: object) -> object:
    return tuple(each for each in value.split(",") if each) if isinstance(value, str) else value


Text = Annotated[str | None, BeforeValidator(_none_if_empty)]
Secret = Annotated[SecretStr | None, BeforeValidator(_none_if_empty)]
Url = Annotated[AnyHttpUrl | None, BeforeValidator(_none_if_empty)]
Urls = Annotated[tuple[AnyHttpUrl, ...], NoDecode, BeforeValidator(_split)]
"""With commas between."""
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split)]
"""Likewise."""
