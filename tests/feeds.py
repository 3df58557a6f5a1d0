"""Replays as a catalogue has them, for tests of feeds."""

from __future__ import annotations

from contracts.take import TakeKey
from origin.feed import Show
from storage.entry import ReplayEntry
from tests.takes import EPOCH_US

ROOM = "town-hall"
TAKE = "20260101T000000Z-abc234"
SECOND = 48_000
SHOW = Show(ROOM, "Town hall", "https://example.net")


def entry(
    title: str = "Town hall, 1 January 2026",
    *,
    speakers: tuple[str, ...] = ("Ada", "Bob"),
    chapters: int = 0,
    later: int = 0,
    version: str = "d" * 64,
) -> ReplayEntry:
    """A replay of 12 min 34 s that ended `later` days after that of 1 January 2026."""
    take = f"202601{1 + later:02}T000000Z-abc234"
    return ReplayEntry(
        key=TakeKey(ROOM, take),
        title=title,
        published=True,
        epoch_us=EPOCH_US + later * 86_400_000_000,
        samples=754 * SECOND,
        speakers=speakers,
        chapters=chapters,
        size=6_032_000,
        sha256="a" * 64,
        derived=version,
    )
