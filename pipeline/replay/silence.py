"""The access unit of a frame of silence, for what was lost."""

from __future__ import annotations

from typing import Final

_UNITS: Final = {1: bytes.fromhex("01182007"), 2: bytes.fromhex("21100460 8c1c")}


def silent_unit(channels: int) -> bytes:
    """The access unit that the encoder makes of zeros, at any bit rate (a test compares them).

    It is written down, so that a file's bytes are the same on every machine. One element (14496-3, 4.4.2.1:
    single channel, or channel pair) without a scale factor band, and its end.
    """
    return _UNITS[channels]
