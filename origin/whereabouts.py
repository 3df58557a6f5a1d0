"""Who listens to each room, through whatever tier, and where the room's listeners should be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from contracts.listeners import Headcount, Tier, by_edge, by_tier
from origin.edges import Edges
from origin.tiers import CALM_SECONDS, RoomTier, TierPlan

if TYPE_CHECKING:
    from contracts.take import TakeKey
    from origin.service import Origin

LEARN_SECONDS: Final = 10.0
"""So long after it began to look at a room an origin believes others that the room is on a higher tier: it
may have been restarted in the middle of a take. Later each has an opinion of its own, or none would ever go
down."""


class _Room:
    """A room that is looked at `since` then; `seen` last."""

    def __init__(self, plan: TierPlan, now: float) -> None:
        self.state = RoomTier(plan.starts)
        self.since = now
        self.seen = now


class Whereabouts:
    """The rooms of `origin`, and the edges that tell it of listeners.

    `others` gives what other origins know, without this one. `remembered` are tiers of takes from before a
    restart. Times are the origin's clock's.
    """

    def __init__(
        self,
        origin: Origin,
        plan: TierPlan | None = None,
        *,
        others: Callable[[], Sequence[Headcount]] = tuple,
        remembered: Mapping[TakeKey, Tier] | None = None,
    ) -> None:
        self.plan = plan or TierPlan()
        self.edges = Edges()
        self.origin = origin
        self._others = others
        self._remembered = dict(remembered or {})
        self._rooms: dict[str, _Room] = {}
        for tier in Tier:
            origin.metrics.tier_listeners.labels(tier.word).set_function(partial(self._listeners_on, tier))
        for tier in (Tier.EDGE, Tier.CDN):
            origin.metrics.edges.labels(tier.word).set_function(partial(self._edges_of, tier))

    # ---- who listens ------------------------------------------------------------------------------------

    def listeners(self, room: str) -> int:
        """How many listen to a room's running take, wherever, as far as can be told."""
        return sum(by_tier(room, self._known(room)).values())

    def told_here(self, elsewhere: Collection[str] = ()) -> int:
        """How many listen to all rooms here, and through edges that are not counted `elsewhere` by name."""
        reports = self.edges.reports(self.origin.clock())
        edges = (report for name, report in reports.items() if name not in elsewhere)
        return sum(self.origin.listeners_by_room().values()) + sum(sum(each.rooms.values()) for each in edges)

    def headcount(self) -> Headcount:
        """What this origin knows, for others."""
        tiers = {room: seen.state.tier for room, seen in self._rooms.items()}
        return Headcount(
            self.origin.listeners_by_room(),
            self.edges.reports(self.origin.clock()),
            {room: tier for room, tier in tiers.items() if tier > Tier.ORIGIN},
        )

    def _known(self, room: str) -> tuple[Headcount, ...]:
        here = Headcount({room: self.origin.listeners(room)}, self.edges.reports(self.origin.clock()))
        return (here, *self._others())

    def _listeners_on(self, tier: Tier) -> int:
        if tier is Tier.ORIGIN:
            return sum(self.origin.listeners_by_room().values())
        reports = self.edges.reports(self.origin.clock()).values()
        return sum(sum(report.rooms.values()) for report in reports if report.tier is tier)

    def _edges_of(self, tier: Tier) -> int:
        return sum(report.tier is tier for report in self.edges.reports(self.origin.clock()).values())

    # ---- where they should be ---------------------------------------------------------------------------

    def tier(self, room: str) -> Tier:
        """Where a room's listeners should be: the highest tier that an origin sees.

        Also when its take has ended, as long as that is in the window: a crowd that waits for the next one
        waits where it is.
        """
        self._look(room, self.origin.clock())
        own = self._rooms[room].state.tier if room in self._rooms else Tier.ORIGIN
        return self.plan.nearest(max((own, *self._stated(room))))

    def tick(self) -> None:
        """Look at all rooms in the window. To be called about once a second."""
        now = self.origin.clock()
        for take in self.origin.takes.of_each_room(private=True):
            self._look(take.key.room, now)
        for room in [room for room, seen in self._rooms.items() if now - seen.seen > CALM_SECONDS]:
            del self._rooms[room]

    def standing(self) -> Mapping[TakeKey, Tier]:
        """The tiers above the origins' own of each room's current take, to be remembered over a restart."""
        takes = self.origin.takes.of_each_room(private=True)
        tiers = {take.key: self._rooms.get(take.key.room) for take in takes}
        known = {key: seen.state.tier for key, seen in tiers.items() if seen is not None}
        return {key: tier for key, tier in known.items() if tier > Tier.ORIGIN}

    def _look(self, room: str, now: float) -> None:
        take = self.origin.find_current(room, private=True)
        if take is None:
            return
        seen = self._rooms.get(room)
        if seen is None:
            seen = self._rooms[room] = _Room(self.plan, now)
            seen.state.lift(self._remembered.pop(take.key, Tier.ORIGIN))
        if now - seen.since < LEARN_SECONDS:
            seen.state.lift(max(self._stated(room), default=Tier.ORIGIN))
        seen.seen = now
        if take.window.ended:
            seen.state.rest()
            return
        known = self._known(room)
        edges = {name: listeners for name, (_, listeners) in by_edge(room, known).items()}
        seen.state.update(now, by_tier(room, known), edges)

    def _stated(self, room: str) -> list[Tier]:
        return [other.tiers.get(room, Tier.ORIGIN) for other in self._others()]
