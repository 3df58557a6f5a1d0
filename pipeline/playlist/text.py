"""The few kinds of values that playlists are written in (rfc8216bis 4.2)."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from pipeline.grid import FRAME, SAMPLE_RATE, utc_us

_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = 100_000
"""Seconds are written to 5 decimals: 10 µs, half a sample."""
# What would end the string (`"`), the line or the file for some reader, or start something else: `%` is our
# own escape; `{` may begin a variable reference (4.3: hls.js fails the whole playlist on an undefined one);
# to hls-parser `'` is a quote too, so that a pair of them and a comma would end the value and begin
# attributes of the title's own making; U+2028 and U+2029 end a line for JavaScript's `.` and for Python's
# splitlines; and a BOM anywhere may fail the parse (4).
_UNSAFE: Final = frozenset("\"'%{\u2028\u2029\ufeff")


@lru_cache(maxsize=256)
def seconds(frames: int) -> str:
    """A duration in frames as seconds to 5 decimals, rounded half up from the exact value: 94 → `2.00533`."""
    return decimal(units(frames))


def units(frames: int) -> int:
    """A duration in frames in units of 10 µs, rounded half up."""
    return (2 * frames * FRAME * _UNITS + SAMPLE_RATE) // (2 * SAMPLE_RATE)


def decimal(value: int) -> str:
    """Units of 10 µs as a decimal-floating-point of seconds."""
    return f"{value // _UNITS}.{value % _UNITS:05}"


def date_time(epoch_us: int, sample: int) -> str:
    """The UTC instant of `sample`, to the millisecond, rounded down: `2026-01-31T20:00:00.000Z` (4.4.4.6)."""
    instant = _UNIX_EPOCH + timedelta(milliseconds=utc_us(epoch_us, sample) // 1000)
    return f"{instant.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def quoted(text: str, also: str = "") -> str:
    """Any text as a quoted-string (4.2).

    What a quoted-string or a playlist cannot hold is percent-encoded as UTF-8, and so is `%` itself and every
    character of `also`: a client gets the text back with `decodeURIComponent`. Text is normalised to NFC, as
    section 4 wants; half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.
    """
    normal = unicodedata.normalize("NFC", text)
    return f'"{"".join(_escaped(char) if _is_unsafe(char) or char in also else char for char in normal)}"'


def _is_unsafe(char: str) -> bool:
    return char in _UNSAFE or unicodedata.category(char) in {"Cc", "Cs"}


def _escaped(char: str) -> str:
    if unicodedata.category(char) == "Cs":
        return "\ufffd"
    return quote(char, safe="")
