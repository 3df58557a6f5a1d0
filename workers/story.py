"""Who was there and who spoke when, as events on the bus.

Two kinds of telling go side by side. Single events are for the record of the take: each speaker's coming and
going, voice and mute, to the sample. `speakers` is for listeners: all who speak, and what is said holds for a
second at least, because players show it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from contracts.take import EventKind, TakeEvent
from pipeline.grid import SAMPLE_RATE
from workers.bus import TakeBus

_SAID_FOR: Final = SAMPLE_RATE
# No event is dated back further: voice that stopped is noticed well within this.
_BACK_AT_MOST: Final = 10 * SAMPLE_RATE
_NUMBERS_HELD: Final = 256


class Story:
    """Tells `bus` what happens. With `named`, listeners were told of names before a restart.

    `before` is what happened until then: events of one sample are numbered on from there.
    """

    def __init__(self, bus: TakeBus, *, named: bool = False, before: Iterable[TakeEvent] = ()) -> None:
        self._bus = bus
        # Names that were said before a restart are not known here, only that there were some.
        self._said: tuple[str, ...] | None = None if named else ()
        self._say_from = 0
        self._first = self._since = bus.top
        self._speaking: dict[str, int] = {}
        self._stopped: dict[str, int] = {}
        self._names: tuple[str, ...] = ()
        self._numbers: dict[int, int] = {}
        for event in before:
            self._numbers[event.sample] = max(event.n + 1, self._numbers.get(event.sample, 0))
        self._fresh: list[TakeEvent] = []

    @property
    def named(self) -> bool:
        """Listeners are being told that somebody speaks."""
        return self._said != ()

    def fresh(self) -> list[TakeEvent]:
        """What has happened since this was asked last."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def gone(self, names: Iterable[str]) -> None:
        """Who was connected when a restart cut all connections; they may join again."""
        for name in names:
            self.tell("leave", name)

    def tell(self, kind: EventKind, name: str) -> None:
        """Something happened to `name` where the bus is."""
        self._add(self._bus.top, kind, speakers=(name,))

    def chapter(self, title: str) -> TakeEvent:
        """A chapter begins where the bus is."""
        return self._add(self._bus.top, "chapter", title=title)

    def speaks(self, name: str, since: int) -> None:
        """The voice of `name` is heard, from sample `since` on."""
        if name not in self._speaking:
            start = min(max(since, self._stopped.pop(name, 0), self._first), self._bus.top)
            self._speaking[name] = start
            self._names = tuple(sorted(self._speaking))
            self._add(start, "start", speakers=(name,))
            self._since = start

    def quiet(self, name: str, since: int) -> None:
        """The voice of `name` is heard no more: its last sound came before sample `since`."""
        start = self._speaking.pop(name, None)
        if start is not None:
            self._names = tuple(sorted(self._speaking))
            stop = min(max(since, start, self._bus.top - _BACK_AT_MOST), self._bus.top)
            self._add(stop, "stop", speakers=(name,))
            self._stopped[name] = stop
            self._since = self._bus.top

    def say(self) -> None:
        """Tell listeners if others speak than they were told, from the sample on at which that began."""
        if self._names == self._said or self._bus.top < self._say_from:
            return
        begin = max(self._since, self._say_from)
        self._add(begin, "speakers", speakers=self._names)
        self._said = self._names
        self._say_from = begin + _SAID_FOR

    def _add(
        self, sample: int, kind: EventKind, *, title: str = "", speakers: tuple[str, ...] = ()
    ) -> TakeEvent:
        number = self._numbers.get(sample, 0)
        self._numbers[sample] = number + 1
        event = TakeEvent(sample, number, kind, title, speakers)
        self._bus.append_event(event)
        self._fresh.append(event)
        if len(self._numbers) > _NUMBERS_HELD:
            oldest = self._bus.top - _BACK_AT_MOST
            self._numbers = {at: count for at, count in self._numbers.items() if at >= oldest}
        return event


def connected(events: Iterable[TakeEvent]) -> list[str]:
    """The names that have joined and not left, after all of `events`, which may be told in any order."""
    names: dict[str, None] = {}
    for event in sorted(events, key=lambda event: (event.sample, event.n)):
        if event.kind == "join":
            names.update(dict.fromkeys(event.speakers))
        elif event.kind == "leave":
            for name in event.speakers:
                names.pop(name, None)
    return [*names]
