"""Ids: what a room, a take, a rendition and a speaker may be called."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Final

from contracts.errors import BadRequest

_ROOM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAKE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z2-7]{6}")
_RENDITION: Final = re.compile(r"[1-9][0-9]{0,2}k")
MAX_SPEAKER_NAME: Final = 64
MAX_TITLE: Final = 1024
# Persian and Indic spelling and composed emoji need them, although they print nothing.
_JOINERS: Final = re.compile("[\u200c\u200d]")
# Not printable, says Python; but French has a narrow one before a colon, Japanese a wide one between words.
_SPACES: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")


def check_room(text: str) -> str:
    """Return `text` if it is a room id. Raises BadRequest."""
    if not _ROOM.fullmatch(text):
        raise BadRequest("a room id is 1 to 64 of the characters A-Z a-z 0-9 _ -")
    return text


def check_take(text: str) -> str:
    """Return `text` if it is a take id (`YYYYMMDDThhmmssZ-` and 6 base32 characters). Raises BadRequest."""
    if not _TAKE.fullmatch(text):
        raise BadRequest("a take id looks like 20260131T200000Z-abc234")
    return text


def check_rendition(text: str) -> str:
    """Return `text` if it names a rendition by its nominal bit rate, such as `64k`. Raises BadRequest."""
    if not _RENDITION.fullmatch(text):
        raise BadRequest("a rendition is named by its bit rate in kbit/s, such as 64k")
    return text


def check_speaker(text: str) -> str:
    """Return `text` if it can be a speaker's name: printable, 1 to 64 characters. Raises BadRequest."""
    # A path with `.` or `..` in it is rewritten by everything that handles addresses (RFC 3986 5.2.4).
    if not 1 <= len(text) <= MAX_SPEAKER_NAME or not _printable(text) or text in {".", ".."}:
        raise BadRequest(f"a speaker's name is 1 to {MAX_SPEAKER_NAME} printable characters")
    return text


def check_title(text: str) -> str:
    """Return `text` if it can be a chapter's title: printable, 1 to 1024 characters. Raises BadRequest."""
    if not 1 <= len(text) <= MAX_TITLE or not _printable(text):
        raise BadRequest(f"a title is 1 to {MAX_TITLE} printable characters")
    return text


def _printable(text: str) -> bool:
    """No control characters, line ends or halves of surrogate pairs; more than spaces, of any width."""
    visible = _SPACES.sub(" ", _JOINERS.sub("", text))
    return bool(visible.strip()) and visible.isprintable()


def new_take_id(epoch_us: int, entropy: bytes) -> str:
    """The id of a take that begins at `epoch_us` (microseconds, UTC).

    `entropy` is at least 4 random bytes: 30 bits of them keep takes of one second apart.
    """
    stamp = datetime.fromtimestamp(epoch_us // 1_000_000, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{base64.b32encode(entropy[:4]).decode().lower()[:6]}"
