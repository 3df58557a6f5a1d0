"""Byte ranges (RFC 9110 14): which bytes of a body are asked for.

What is decided here where the RFC leaves it open:

- a field that is no range of bytes (another unit, not a number) is ignored: the whole body, as if not asked;
- one range that ends before it begins, or lies beyond the end, is refused (416) with the body's size;
- several ranges at once are ignored, be they two or a thousand: the whole body, never `multipart/byteranges`,
  which no player asks for and which multiplies the work of an answer;
- a date in `If-Range` never holds: the validator here is the ETag, which a client that has one must send.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from contracts.errors import RangeNotSatisfiable

_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)")
_SPACE: Final = " \t"
_MAX_DIGITS: Final = 18
_FAR: Final = 10**_MAX_DIGITS
"""Beyond the end of everything; longer numbers are as far."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` up to `stop`, which is left out; never empty when it was asked for."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """The field that says where in a body of `size` bytes these lie."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse_range(field: str, size: int) -> ByteRange | None:
    """What a `Range` field asks of a body of `size` bytes; None is the whole. Raises RangeNotSatisfiable."""
    unit, _, specs = field.partition("=")
    if unit.strip(_SPACE).lower() != "bytes":
        return None
    asked = [spec for each in specs.split(",") if (spec := each.strip(_SPACE))]
    found = _SPEC.fullmatch(asked[0]) if len(asked) == 1 else None
    if found is None or not any(found.groups()):
        return None
    return _suffix(found[2], size) if not found[1] else _from(found[1], found[2], size)


def range_holds(if_range: str | None, etag: str) -> bool:
    """Whether a range may be answered as one: the body is still what `If-Range` names (RFC 9110 13.1.5)."""
    # Compared strongly: a weak tag is none of ours.
    return if_range is None or if_range.strip(_SPACE) == etag


def _from(first: str, last: str, size: int) -> ByteRange:
    start = _number(first)
    stop = _number(last) + 1 if last else size
    if stop <= start < size:
        raise RangeNotSatisfiable("this range ends before it begins", size)
    if start >= size:
        raise RangeNotSatisfiable(f"this range begins beyond the end: there are {size} bytes", size)
    return ByteRange(start, min(stop, size))


def _suffix(length: str, size: int) -> ByteRange:
    """The last bytes; all of them where so many are not there."""
    wanted = min(_number(length), size)
    if not wanted:
        raise RangeNotSatisfiable("this range is empty", size)
    return ByteRange(size - wanted, size)


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _MAX_DIGITS else _FAR
