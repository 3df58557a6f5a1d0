"""A place in a take's media: a media sequence number and the index of a part in it."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """Part `part` (from 0) of segment `msn`; positions compare in the order of time."""

    msn: int
    part: int
