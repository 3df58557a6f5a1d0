"""What a file is called: iTunes' list of items in `udta`/`meta`, which every player of m4a reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.boxes.box import box, full_box

_UTF_8, _INTEGER = 1, 21  # "well-known types" of the QuickTime File Format
# The handler of iTunes' metadata: 'mdir', made by 'appl'.
_HDLR: Final = full_box(b"hdlr", 0, 0, bytes(4), b"mdir", b"appl", bytes(9))


def meta(items: Mapping[bytes, str | int]) -> bytes:
    """The `meta` box of `items`: a text, or a number of one byte, under its four-character code."""
    return full_box(b"meta", 0, 0, _HDLR, box(b"ilst", *(_item(*item) for item in items.items())))


def _item(code: bytes, value: str | int) -> bytes:
    # A type, a language that is never anything, and the value.
    kind, body = (_UTF_8, value.encode()) if isinstance(value, str) else (_INTEGER, bytes((value,)))
    return box(code, box(b"data", kind.to_bytes(4, "big"), bytes(4), body))
