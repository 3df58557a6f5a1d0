"""JSON documents as bytes, one form for all: UTF-8, one line, members in the order of their making."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from contracts.errors import LongwaveError, ObjectDamaged

T = TypeVar("T")

# OverflowError: Python's JSON has Infinity, and no int is that.
_NONSENSE: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    LongwaveError,
)


def to_bytes(obj: object) -> bytes:
    """A document's bytes; equal documents have equal bytes."""
    data = json.dumps(obj, ensure_ascii=False, allow_nan=False)
    # Half a surrogate pair, which UTF-8 cannot hold, becomes JSON's escape for it.
    return data.encode(errors="backslashreplace") + b"\n"


def from_bytes(name: str, data: bytes, read: Callable[[Any], T]) -> T:
    """What `read` makes of a document. Raises ObjectDamaged, which names the object."""
    try:
        return read(json.loads(data))
    except _NONSENSE as error:
        raise ObjectDamaged(f"{name}: not what was stored ({error!r:.120})") from None
