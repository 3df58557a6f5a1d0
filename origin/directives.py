"""Delivery directives of a playlist request (rfc8216bis 6.2.5): a query → a frozen value, or BadDirective."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.errors import BadDirective
from pipeline.playlist import Skip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import MultiMapping

MAX_QUERY: Final = 1024
# 18 digits fit 64 bits with room for the arithmetic; nothing lives long enough to need more.
_INTEGER: Final = re.compile(r"[0-9]{1,18}")
_SKIP: Final[Mapping[str | None, Skip]] = {None: Skip.NO, "YES": Skip.YES, "v2": Skip.V2}


@dataclass(frozen=True, slots=True)
class Directives:
    """What a playlist request asks for. `msn` None: whatever is there now."""

    msn: int | None = None
    part: int | None = None
    skip: Skip = Skip.NO


NONE: Final = Directives()


def parse_directives(query: MultiMapping[str]) -> Directives:
    """Parse a query. Raises BadDirective.

    Only the three known directives are looked at; whatever else is there is ignored, also other names that
    begin with `_HLS_` (a server ignores directives that it does not know).
    """
    skip = _SKIP.get(_once(query, "_HLS_skip"))
    if skip is None:
        raise BadDirective("_HLS_skip: YES or v2")
    msn = _integer(query, "_HLS_msn")
    part = _integer(query, "_HLS_part")
    if part is not None and msn is None:
        raise BadDirective("_HLS_part needs _HLS_msn")
    return Directives(msn, part, skip)


def _once(query: MultiMapping[str], name: str) -> str | None:
    values = query.getall(name, [])
    if len(values) > 1:
        raise BadDirective(f"{name}: once")
    return values[0] if values else None


def _integer(query: MultiMapping[str], name: str) -> int | None:
    text = _once(query, name)
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise BadDirective(f"{name}: a whole number, not negative")
    return int(text)
