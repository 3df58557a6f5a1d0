"""Which rooms were on an edge or a CDN, over a restart: or their listeners would all be called back.

Beside the window's journal, and as far behind: it is written when something has changed, and nobody waits.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from contracts.errors import DiskUnavailable, LongwaveError
from contracts.listeners import Tier, check_tier
from contracts.take import TakeKey, parse_take_name, take_name
from origin.whereabouts import Whereabouts
from storage.aside import write_atomic
from storage.files import read_if_there

log = structlog.get_logger()

_EVERY_SECONDS: Final = 1.0


class TierMemory:
    """A file of tiers by take. Its methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Mapping[TakeKey, Tier]:
        """What was saved last; nothing where that cannot be read: rooms are counted anew then."""
        try:
            said = json.loads(read_if_there(self._path) or b"{}")
            return {parse_take_name(name): check_tier(word) for name, word in said.items()}
        except (LongwaveError, ValueError, AttributeError, RecursionError) as error:
            log.warning("tiers from before the start cannot be read", reason=str(error))
            return {}

    def save(self, tiers: Mapping[TakeKey, Tier]) -> None:
        """Put `tiers` in the place of what was saved. Raises DiskUnavailable."""
        write_atomic(
            self._path, json.dumps({take_name(key): tier.word for key, tier in tiers.items()}).encode()
        )


async def look_for_ever(whereabouts: Whereabouts) -> None:
    """Look at all rooms every second. Runs until it is cancelled."""
    while True:
        whereabouts.tick()
        await asyncio.sleep(_EVERY_SECONDS)


async def remember_for_ever(
    whereabouts: Whereabouts, memory: TierMemory, *, every: float = _EVERY_SECONDS
) -> None:
    """Save tiers that have changed. A disk that hangs keeps back nothing else. Runs until it is cancelled."""
    saved: Mapping[TakeKey, Tier] | None = None
    failing = False
    while True:
        await asyncio.sleep(every)
        standing = whereabouts.standing()
        if standing == saved:
            continue
        try:
            await asyncio.to_thread(memory.save, standing)
        except DiskUnavailable as error:
            if not failing:
                log.warning("tiers are not kept over a restart", reason=error.message)
            failing = True
        else:
            saved, failing = standing, False
