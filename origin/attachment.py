"""What a browser calls a file that it saves (RFC 6266), from a title that may hold anything."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

# Of a name in UTF-8: file systems take 255, and programs put things like ` (1)` or `.part` behind it.
_MAX_BYTES: Final = 180
# Not in a file's name on some system, or special in a header's quoted string.
_FORBIDDEN: Final = frozenset('\\/:*?"<>|%')
# RFC 8187 3.2.1, attr-char, beside letters, digits and `_.-~`, which quote leaves alone.
_PLAIN: Final = "!#$&+^`|"


def file_name(title: str, suffix: str) -> str:
    """A name that every file system takes: `title` without what is special somewhere, and `suffix`.

    What does not print goes too: marks that turn the direction of writing make names lie about their ends.
    """
    shown = "".join(char if char.isprintable() and char not in _FORBIDDEN else " " for char in title)
    # Of half a character at the cut, nothing stays.
    cut = " ".join(shown.split()).encode(errors="ignore")[:_MAX_BYTES].decode(errors="ignore")
    return (cut.strip(" .") or "replay") + suffix


def inline(name: str) -> str:
    """`Content-Disposition` of what is to be played, and saved as `name`."""
    ascii_name = name.encode("ascii", errors="replace").decode().replace("?", "_")
    field = f'inline; filename="{ascii_name}"'
    return field if ascii_name == name else f"{field}; filename*=UTF-8''{quote(name, safe=_PLAIN)}"
