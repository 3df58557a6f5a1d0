"""What an object may be called, so that a name means the same in every storage."""

from __future__ import annotations

import re
from typing import Final

_MAX_NAME: Final = 900
"""Bytes; S3 allows 1,024, of which a prefix wants some."""
_MAX_PIECE: Final = 200
"""Bytes between two slashes; file systems allow 255, of which lying aside takes some."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def check_name(name: str) -> str:
    """Return `name` if an object may be called so. Raises ValueError.

    Relative, pieces separated by `/`. No piece is empty or begins with a dot: that would lead out of a
    directory, or be taken for a file that lies aside.
    """
    if len(name.encode()) > _MAX_NAME:  # half a surrogate pair has no bytes, and raises here
        raise ValueError(f"{name!r:.80}…: longer than {_MAX_NAME} bytes")
    for piece in name.split("/"):
        if not legal_piece(piece):
            raise ValueError(f"{name!r:.80}: no object can be called so")
    return name


def check_prefix(prefix: str) -> str:
    """Return `prefix` if names of objects may begin with it. Raises ValueError."""
    directory, _, rest = prefix.rpartition("/")
    if directory or prefix.startswith("/"):
        check_name(directory)
    if rest:
        check_name(rest)
    return prefix


def check_directory(directory: str) -> str:
    """Return `directory` if it is the top or objects may lie in it. Raises ValueError."""
    if directory and not directory.endswith("/"):
        raise ValueError(f"{directory!r:.80}: a directory ends in /")
    return check_prefix(directory)


def legal_piece(piece: str) -> bool:
    """Whether `piece` may stand between two slashes of a name."""
    try:
        size = len(piece.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= _MAX_PIECE and not piece.startswith(".") and not _CONTROL.search(piece)
