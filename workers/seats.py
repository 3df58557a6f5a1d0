"""Who is in a take's mix: connections come, go and take over from one another, and that is told."""

from __future__ import annotations

from typing import Any, Final

from workers.bus import TakeBus
from workers.live import LiveSpeaker
from workers.seat import Seat
from workers.speaker import Speaker
from workers.story import Story

# Connections of one name that are played to their end: who reconnects faster than that is not heard by it.
_MOST_ELDERS: Final = 3


class Seats:
    """The seats of the take on `bus`; `story` is told who joins, speaks and leaves.

    `taken` are the seats in the order in which they were taken, with those of connections that are gone and
    not yet played to their end.
    """

    __slots__ = ("_bus", "_story", "taken")

    def __init__(self, bus: TakeBus, story: Story) -> None:
        self._bus = bus
        self._story = story
        self.taken: list[Seat] = []

    def named(self, name: str) -> list[Seat]:
        """Every connection of that name."""
        return [seat for seat in self.taken if seat.name == name]

    def live(self) -> tuple[LiveSpeaker, ...]:
        """How all of them are at this moment."""
        return tuple(seat.live() for seat in self.taken)

    def join(self, speaker: Speaker[Any]) -> None:
        """`speaker` is heard as soon as its source is ready, in place of who had its name until then."""
        elders = [] if speaker.name is None else self.named(speaker.name)
        for elder in elders:
            elder.leave()
        for elder in elders[:-_MOST_ELDERS]:
            self.depart(elder)
        self.taken.append(Seat(speaker, elders[-_MOST_ELDERS:]))

    def leave(self, speaker: Speaker[Any]) -> None:
        """The connection is gone; what it had sent is played."""
        for seat in self.taken:
            if seat.speaker is speaker:
                seat.leave()

    def hand_over(self) -> None:
        """Whoever is over departs, and elders whose heir is ready."""
        for seat in [*self.taken]:
            if seat.over:
                self.depart(seat)
            elif seat.elders and seat.speaker.source.ready:
                for elder in seat.elders:
                    self.depart(elder)
                seat.elders = ()

    def depart(self, seat: Seat) -> None:
        """`seat` is heard no more; another connection of the same name goes on with its story."""
        if seat not in self.taken:
            return
        self.taken.remove(seat)
        # Or one who connects again and again would keep all connections that ever were.
        seat.elders = ()
        seat.speaker.held = False
        seat.speaker.stir()
        if seat.name is None:
            return
        if seat.speaking:
            self._story.quiet(seat.name, self._bus.top - seat.strip.quiet_for)
        heirs = self.named(seat.name)
        for heir in heirs:
            heir.joined = seat.joined if heir.joined is None else heir.joined
        if not heirs and seat.joined is not None:
            self._story.tell("leave", seat.name)

    def depart_all(self) -> None:
        """The take is over."""
        for seat in [*self.taken]:
            self.depart(seat)

    def tell(self) -> None:
        """Tell of the block that was just taken in: its first sample is the next one of the bus."""
        for seat in self.taken:
            if seat.name is not None:
                self._tell_of(seat, seat.name)
        self._story.say()

    def _tell_of(self, seat: Seat, name: str) -> None:
        if seat.joined is None and seat.speaker.held:
            seat.joined = self._bus.top
            self._story.tell("join", name)
        if seat.strip.speaking != seat.speaking:
            seat.speaking = seat.strip.speaking
            if seat.speaking:
                self._story.speaks(name, self._bus.top - seat.strip.speaks_for)
            else:
                self._story.quiet(name, self._bus.top - seat.strip.quiet_for)
