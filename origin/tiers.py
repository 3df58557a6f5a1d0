"""Where a room of a certain size is heard: up at once, down late, never back and forth.

Nothing of HTTP, of clocks or of other origins: times are seconds of a monotonic clock, and arguments.
Why it decides as it does: docs/decisions/0020-tiers-go-up-at-once-and-down-late.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from contracts.listeners import Tier

CALM_SECONDS: Final = 60.0
"""A room leaves a tier when fewer than half of those who brought it there have listened for so long."""
SETTLE_SECONDS: Final = 30.0
"""Who moves to another tier is counted on both for some seconds (`origin/audience.py`), and a crowd moves
within one round of asking: for so long a sum of tiers may count people twice."""
SILENT_SECONDS: Final = 600.0
"""For so long an edge that had listeners of a room, and tells nothing any more, may still have them: it keeps
the room where it is. One that was taken away does so, too, which costs little."""


@dataclass(frozen=True, slots=True)
class TierPlan:
    """The tiers that there are: what listeners' addresses begin with on each, and how many open it.

    `bases` has every tier that there is, the origins' own too; "" is the server that a listener asked.
    `starts` has all but the origins' own. `public_url` is what listeners call the origins,
    where that is known.
    """

    bases: Mapping[Tier, tuple[str, ...]] = field(default_factory=lambda: {Tier.ORIGIN: ("",)})
    starts: Mapping[Tier, int] = field(default_factory=dict)
    public_url: str = ""

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of all that a listener may be sent to, beside the server that was asked."""
        return tuple(base for bases in self.bases.values() for base in bases if base)

    def nearest(self, tier: Tier) -> Tier:
        """`tier`, or the highest one below it that there is."""
        return max(each for each in self.bases if each <= tier)


@dataclass(slots=True)
class _Step:
    """Onto one tier. `above` and `below`: since when there have been enough listeners for it, or too few."""

    tier: Tier
    start: int
    taken: bool = False
    above: float | None = None
    below: float | None = None

    def update(self, now: float, counts: Mapping[Tier, int], *, uncounted: bool) -> None:
        total = sum(counts.values())
        if total >= self.start:
            self.below = None
            self.above = now if self.above is None else self.above
            # Nobody is twice in one tier's count.
            if max(counts.values()) >= self.start or now - self.above >= SETTLE_SECONDS:
                self.taken = True
            return
        self.above = None
        # Where nobody tells who listens there, few are counted because most are there.
        if not self.taken or 2 * total >= self.start or self.tier not in counts or uncounted:
            self.below = None
        elif self.below is None:
            self.below = now
        elif now - self.below >= CALM_SECONDS:
            self.taken, self.below = False, None


class RoomTier:
    """One room's tier. `starts` says from how many listeners on each tier above the origins' own is taken."""

    def __init__(self, starts: Mapping[Tier, int]) -> None:
        self._steps = [_Step(tier, start) for tier, start in sorted(starts.items())]
        # When each edge last told of listeners.
        self._heard: dict[str, float] = {}

    @property
    def tier(self) -> Tier:
        """Where the room's listeners should be."""
        return max((step.tier for step in self._steps if step.taken), default=Tier.ORIGIN)

    def lift(self, tier: Tier) -> None:
        """The room is known to be on `tier` already, or above it."""
        for step in self._steps:
            if step.tier <= tier:
                step.taken = True

    def rest(self) -> None:
        """Nobody listens to what has ended: that few are counted means nothing until it goes on."""
        for step in self._steps:
            step.above = step.below = None

    def update(
        self, now: float, counts: Mapping[Tier, int], edges: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """So many listen on each tier at `now`, and through each of the edges that tell, by name.

        A tier of which nobody tells is left out of `counts`, and so is an edge that does not out of `edges`.
        """
        uncounted = self._is_silent(now, edges)
        for step in self._steps:
            step.update(now, counts, uncounted=uncounted)

    def _is_silent(self, now: float, edges: Mapping[str, int]) -> bool:
        """Whether an edge that had listeners lately does not tell any more."""
        before = {
            name: at for name, at in self._heard.items() if name not in edges and now - at < SILENT_SECONDS
        }
        self._heard = before | {name: now for name, listeners in edges.items() if listeners}
        return bool(before)
