"""Box primitives (ISO/IEC 14496-12, 4.2): build a box, walk the boxes in a range of bytes."""

from __future__ import annotations

from itertools import islice
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from contracts.errors import MalformedMedia

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER: Final = Struct(">I4s")
HEADER_SIZE: Final = _HEADER.size


def box(kind: bytes, *payload: bytes) -> bytes:
    """A box: 32-bit size, four-character code, payload."""
    body = b"".join(payload)
    return _HEADER.pack(HEADER_SIZE + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    """A FullBox: a box whose payload starts with 8 bits of version and 24 of flags."""
    return box(kind, (version << 24 | flags).to_bytes(4, "big"), *payload)


class Span(NamedTuple):
    """A box found in a buffer: `start` to `stop` is its body, without the header."""

    kind: bytes
    start: int
    stop: int


def walk(data: bytes, start: int, stop: int) -> Iterator[Span]:
    """The boxes that fill data[start:stop] exactly. Raises MalformedMedia.

    Sizes 0 (to the end of the file) and 1 (64 bits) are refused: nothing here is that long.
    """
    while start < stop:
        if stop - start < HEADER_SIZE:
            raise MalformedMedia(f"a box is cut off at byte {start}")
        size, kind = _HEADER.unpack_from(data, start)
        if not HEADER_SIZE <= size <= stop - start:
            raise MalformedMedia(f"the box at byte {start} claims {size} bytes of {stop - start}")
        yield Span(kind, start + HEADER_SIZE, start + size)
        start += size


def expect(data: bytes, start: int, stop: int, *kinds: bytes) -> list[Span]:
    """The boxes that fill data[start:stop], which must be `kinds` in that order. Raises MalformedMedia."""
    # One more than wanted tells; a body of a million empty boxes is not worth a list.
    spans = list(islice(walk(data, start, stop), len(kinds) + 1))
    if [span.kind for span in spans] != [*kinds]:
        raise MalformedMedia(f"wanted {_names(kinds)}, found {_names([span.kind for span in spans])}")
    return spans


def find(data: bytes, start: int, stop: int, kind: bytes) -> Span:
    """The only box of `kind` among those that fill data[start:stop]. Raises MalformedMedia."""
    found = [span for span in walk(data, start, stop) if span.kind == kind]
    if len(found) != 1:
        raise MalformedMedia(f"wanted one {_names([kind])}, found {len(found)}")
    return found[0]


def unpack(layout: Struct, data: bytes, span: Span) -> tuple[int, ...]:
    """The fields at the start of a box's body. Raises MalformedMedia if the body is shorter than `layout`."""
    if span.stop - span.start < layout.size:
        raise MalformedMedia(f"{_names([span.kind])} has {span.stop - span.start} bytes, not {layout.size}")
    return layout.unpack_from(data, span.start)


def _names(kinds: tuple[bytes, ...] | list[bytes]) -> str:
    return "+".join(ascii(kind.decode("latin-1"))[1:-1] for kind in kinds) or "nothing"
