"""How many listen and where: what edges tell origins, and origins one another. Wire values, checked.

A room's listeners are those that each origin counts itself and those that edges told of. An edge tells every
origin, so what it said comes several times where several origins are asked: it is counted once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from contracts.errors import BadRequest
from contracts.ids import check_room

MAX_ROOMS: Final = 4_096
"""Rooms that an edge may tell of at once."""
_MOST: Final = 10**9
_EDGE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Tier(IntEnum):
    """Where a room is heard; a higher one carries more."""

    ORIGIN = 0
    EDGE = 1
    CDN = 2

    @property
    def word(self) -> str:
        """As it is written everywhere else: `origin`, `edge`, `cdn`."""
        return self.name.lower()


_TIERS: Final = {tier.word: tier for tier in Tier}


@dataclass(frozen=True, slots=True)
class EdgeReport:
    """What an edge tells: which tier it is, and how many listen to each room through it."""

    tier: Tier
    rooms: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """The wire form."""
        return {"tier": self.tier.word, "rooms": dict(self.rooms)}

    @classmethod
    def from_json(cls, obj: object) -> EdgeReport:
        """Read the wire form. Raises BadRequest."""
        match obj:
            case {"tier": ("edge" | "cdn") as tier, "rooms": dict(rooms)}:
                return cls(_TIERS[tier], _counts(rooms))
            case _:
                raise BadRequest('a report is {"tier": "edge" or "cdn", "rooms": {room: listeners}}')


@dataclass(frozen=True, slots=True)
class Headcount:
    """What one origin knows: who listens to rooms `here`, what `edges` told it, and the `tiers` it sees.

    `tiers` says of rooms above the origins' own tier where their listeners should be.
    """

    here: Mapping[str, int] = field(default_factory=dict)
    edges: Mapping[str, EdgeReport] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The wire form."""
        return {
            "here": dict(self.here),
            "edges": {name: report.to_json() for name, report in self.edges.items()},
            "tiers": {room: tier.word for room, tier in self.tiers.items()},
        }

    @classmethod
    def from_json(cls, obj: object) -> Headcount:
        """Read the wire form. Raises BadRequest."""
        match obj:
            case {"here": dict(here), "edges": dict(edges), "tiers": dict(tiers)}:
                told = {check_edge(name): EdgeReport.from_json(report) for name, report in edges.items()}
                stated = {check_room(room): check_tier(word) for room, word in tiers.items()}
                return cls(_counts(here), told, stated)
            case _:
                raise BadRequest('a headcount is {"here": {…}, "edges": {…}, "tiers": {…}}')


def check_edge(text: str) -> str:
    """Return `text` if it can be an edge's name. Raises BadRequest."""
    if not _EDGE.fullmatch(text):
        raise BadRequest("an edge's name is 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    return text


def check_tier(word: object) -> Tier:
    """The tier that `word` names. Raises BadRequest."""
    tier = _TIERS.get(word) if isinstance(word, str) else None
    if tier is None:
        raise BadRequest(f"a tier is {', '.join(_TIERS)}")
    return tier


def by_tier(room: str, known: Collection[Headcount]) -> dict[Tier, int]:
    """How many listen to `room` on each tier, as far as origins know; one of which nobody tells is left out.

    Of an edge that several origins heard of, the larger number counts: one of them may have missed the last.
    """
    counts = {Tier.ORIGIN: sum(each.here.get(room, 0) for each in known)}
    for tier, listeners in by_edge(room, known).values():
        counts[tier] = counts.get(tier, 0) + listeners
    return counts


def by_edge(room: str, known: Collection[Headcount]) -> dict[str, tuple[Tier, int]]:
    """The tier of each edge that tells, and how many listen to `room` through it, if anybody does."""
    edges: dict[str, tuple[Tier, int]] = {}
    for name, report in _told(known):
        before = edges.get(name, (report.tier, 0))[1]
        edges[name] = (report.tier, max(before, report.rooms.get(room, 0)))
    return edges


def edges_told(known: Iterable[Headcount]) -> dict[str, EdgeReport]:
    """What each edge tells, by its name; where several origins heard of it, the larger numbers."""
    told: dict[str, EdgeReport] = {}
    for name, report in _told(known):
        rooms = dict(report.rooms)
        for room, listeners in (told[name].rooms if name in told else {}).items():
            rooms[room] = max(listeners, rooms.get(room, 0))
        told[name] = EdgeReport(report.tier, rooms)
    return told


def _told(known: Iterable[Headcount]) -> Iterable[tuple[str, EdgeReport]]:
    return (told for each in known for told in each.edges.items())


def _counts(rooms: Mapping[object, object]) -> dict[str, int]:
    if len(rooms) > MAX_ROOMS:
        raise BadRequest(f"at most {MAX_ROOMS} rooms at once: tell of the largest")
    counts: dict[str, int] = {}
    for room, count in rooms.items():
        # bool is an int to Python, but `true` is no number to JSON.
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= _MOST:
            raise BadRequest("listeners are counted in whole numbers")
        counts[check_room(str(room))] = count
    return counts
