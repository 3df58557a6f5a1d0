"""The mirror of one take: what links bring of it, in the memory of the worker that carries it.

Several Redis servers may bring the same take. What comes first is taken, and what is there already changes
nothing: a sample once on a bus is final. What one of them lacks is waited for as long as another may still
bring it; what nobody can bring any more is lost for good. The mirror then jumps over it, and the transcoder
finds `SamplesLost` and declares a gap.

A mirror never drops what its transcoder has not read. Instead it takes in nothing further than `AHEAD` beyond
what was read, because Redis holds the last minute anyway. What was read is kept for as long again: a segment
may have to be encoded another time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from contracts.take import PUBLISHED_KINDS, TakeEvent, TakeHeader, TakeKey
from pipeline.grid import SAMPLE_RATE
from workers.memory_bus import EVENTS_HELD, SOUND_HELD, MemoryTakeBus
from workers.redis_bus.entries import Ended, Entry, Gap, Happened, Silence, Sound

logger = structlog.get_logger()

AHEAD: Final = SOUND_HELD // 2
"""Samples beyond what was read, from which on nothing more is taken in: 5 s."""
GONE_SECONDS: Final = 5.0
"""A Redis that gave no sign for so long is not waited for. A failover takes 2.3 s."""
PATIENCE_SECONDS: Final = 5.0
"""After which a Redis that answers, but brings nothing, is not waited for either."""
_SIGN_SECONDS: Final = 1.0
# What is here is to be read before a jump drops it, within this: a transcoder that failed tries again sooner.
_READING_SECONDS: Final = 10.0
# Silence costs nothing however long it is, and must not be dropped unread either.
_SPAN_HELD: Final = 24 * 3600 * SAMPLE_RATE
# Further ahead of what is here, and of the time since it came, no sample is believed to be: a mirror begins
# where its bus or an origin does, which may be a while ago.
_FURTHEST: Final = 24 * 3600 * SAMPLE_RATE
# The one who knows where the take ended is no link.
_NOBODY: Final = ""


class _Hole(NamedTuple):
    """Whoever has it goes on at `sample` only; noticed at `since`."""

    sample: int
    since: float


class _Older(NamedTuple):
    """Sound before sample `at`, signed with a generation below the highest that was here."""

    at: int
    generation: int


class Mirror(MemoryTakeBus):
    """One take from sample `first` on. All instants are monotonic, in seconds."""

    def __init__(self, key: TakeKey, header: TakeHeader, first: int, now: float) -> None:
        super().__init__(key, header, first, span_held=_SPAN_HELD)
        self._read_to = first
        self._generation = 0
        self._signed_at = now
        self._older: dict[str, _Older] = {}
        self._warned = False
        self._grew_at = now
        self._holes: dict[str, _Hole] = {}
        self._brought_all: set[str] = set()
        self._known: dict[str, None] = {}
        self._refused_end = False
        self._logger = logger.bind(room=key.room, take=key.take)

    # ---- the transcoder's side ---------------------------------------------------------------------------

    def read(self, start: int, stop: int) -> NDArray[np.int16]:
        """Copy samples out, and make room for as many more."""
        out = super().read(start, stop)
        self._read_to = max(self._read_to, stop)
        return out

    def jump(self, sample: int) -> None:
        """Go on at `sample`: what lies before it is not waited for by anybody."""
        super().jump(sample)
        self._read_to = max(self._read_to, sample)

    @property
    def full(self) -> bool:
        """Enough is here that was not read yet. Who waits for more will not read it."""
        return self.top - self._read_to >= AHEAD and self.wanted is None

    @property
    def at_edge(self) -> bool:
        """Some link has brought all that it had: `top` is where the take is."""
        return self.ended is not None or bool(self._brought_all)

    # ---- the links' side ---------------------------------------------------------------------------------

    def wants(self, link: str) -> bool:
        """Whether this link may have something that can be taken in now."""
        hole, older = self._holes.get(link), self._older.get(link)
        waits = (hole is not None and hole.sample > self.top) or (older is not None and older.at > self.top)
        return self.ended is None and not self.full and not waits

    def take_in(self, entry: Entry, at: int, generation: int, link: str, now: float) -> bool:
        """Add what is new of an entry that lies before sample `at`, from the owner of that generation.

        False says that it has to wait, and is to be read again once the mirror `wants` it. Raises ValueError
        or BusRefused for what cannot be.
        """
        if self.ended is not None:
            return True
        if self._impossible(at, now):
            raise ValueError(f"sample {at} is further ahead of {self.top} than it can be")
        if generation < self._generation:
            return self._leave_out(_Older(at, generation), link)
        self._signed_at = now
        needs = at if isinstance(entry, Gap | Happened | Ended) else entry.start
        if needs > self.top:
            hole = self._holes.get(link)
            if hole is None or hole.sample != needs:
                self._holes[link] = _Hole(needs, now)
            return False
        if self._holes:
            self._holes.pop(link, None)
        if at > self.top:
            if self.full:
                return False
            self._grew_at = now
        self._add(entry)
        self._generation = generation
        return True

    def recall(self, events: Iterable[TakeEvent]) -> None:
        """Add what happened before the first sample and still lasts there: an origin may be new."""
        before = [event for event in events if event.sample <= self.first and event.kind in PUBLISHED_KINDS]
        lasting = {event.kind: event for event in before}
        for event in sorted(lasting.values(), key=lambda event: (event.sample, event.n)):
            self.append_event(event)

    def append_event(self, event: TakeEvent) -> None:
        """Add an event once, whoever brings it."""
        if event.id in self._known:
            return
        super().append_event(event)
        self._known[event.id] = None
        if len(self._known) > EVENTS_HELD:
            del self._known[next(iter(self._known))]

    def brought(self, link: str, *, all_of_it: bool) -> None:
        """A link has been asked: whether that was all it has of the take at the moment."""
        if all_of_it:
            self._brought_all.add(link)
        else:
            self._brought_all.discard(link)

    def forget(self, link: str) -> None:
        """A link failed: what it has and lacks is to be found out again."""
        self._holes.pop(link, None)
        self._older.pop(link, None)
        self._brought_all.discard(link)

    # ---- what is lost for good ---------------------------------------------------------------------------

    def ends_at(self, sample: int, now: float) -> None:
        """It is known that the take ended there. Links may still bring its sound, and what happened."""
        if not self._impossible(sample, now):
            self._holes.setdefault(_NOBODY, _Hole(sample, now))
        elif not self._refused_end:
            self._refused_end = True
            self._logger.error("a take cannot have ended there", sample=sample, top=self.top)

    def settle(self, signs: Mapping[str, float], now: float) -> None:
        """Jump over what nobody can bring any more. `signs`: when each link answered last."""
        if self.full:
            self._grew_at = self._signed_at = now  # nobody was asked for more
        self._settle_older(now)
        if not self._holes:
            return
        known_end = self._holes.get(_NOBODY)
        # What happened at the last sample, and the end itself, come after the sound.
        if known_end is not None and known_end.sample <= self.top:
            if now - max(self._grew_at, known_end.since) >= PATIENCE_SECONDS:
                self._finish()
            return
        holes = {name: hole for name, hole in self._holes.items() if hole.sample > self.top}
        if self.ended is not None or not holes or not _lost(holes, signs, self._grew_at, now):
            return
        nearest = min(holes.values())
        # A reader that waits has made all that it can of what is here.
        if self.wanted is not None or self.top == self.first or now - nearest.since >= _READING_SECONDS:
            self._logger.error("the bus has lost samples for good", start=self.top, stop=nearest.sample)
            self.jump(nearest.sample)
            self._grew_at = now
            if known_end is not None and known_end.sample <= self.top:
                self._finish()

    def _settle_older(self, now: float) -> None:
        """Where nothing newer comes, generations have begun anew: every Redis has lost its memory."""
        if not self._older:
            return
        self._older = {link: older for link, older in self._older.items() if older.at > self.top}
        if self._older and now - self._signed_at >= GONE_SECONDS:
            fallen = max(older.generation for older in self._older.values())
            self._logger.error(
                "only an owner of a lower generation still writes: going on with it",
                was=self._generation,
                now=fallen,
            )
            self._generation = fallen
            self._signed_at = self._grew_at = now
            self._older.clear()

    # ---- inside ------------------------------------------------------------------------------------------

    def _leave_out(self, older: _Older, link: str) -> bool:
        """Of an owner that was deposed and did not notice: what came first stays, what is new has to wait."""
        if older.at <= self.top:
            return True
        if not self._warned:
            self._warned = True
            self._logger.warning(
                "an owner of a lower generation writes: left out while newer ones do",
                bus=link,
                lower=older.generation,
                highest=self._generation,
            )
        self._older[link] = older
        return False

    def _add(self, entry: Entry) -> None:
        match entry:
            case Sound(start, stop, pcm):
                if len(pcm) != (stop - start) * 2 * self.header.settings.channels:
                    raise ValueError(f"[{start}, {stop}) has {len(pcm)} bytes")
                self.append(start, pcm)
            case Silence(start, stop):
                self.append_silence(start, stop - start)
            case Happened(event):
                self.append_event(event)
            case Ended():
                self._finish()
            case Gap():
                pass  # another link had brought it

    def _impossible(self, sample: int, now: float) -> bool:
        """Whether a take that grows with time cannot be there yet: nobody jumps, or waits, that far."""
        grown = int(max(0.0, now - self._grew_at) * SAMPLE_RATE)
        return sample - self.top > _FURTHEST + grown

    def _finish(self) -> None:
        """End it where it is: what came first from a deposed owner stays, even beyond its successor's end."""
        if self.ended is None:
            self.end(self.top)


def _lost(holes: Mapping[str, _Hole], signs: Mapping[str, float], grew_at: float, now: float) -> bool:
    """Whether nobody will bring what lies before all of the `holes`."""
    links = holes.keys() - {_NOBODY}
    others = signs.keys() - links
    if links and all(now - signs[name] >= GONE_SECONDS for name in others):
        return True
    since = max(grew_at, *(hole.since for hole in holes.values()))
    answers = any(now - sign < _SIGN_SECONDS for sign in signs.values())
    return answers and now - since >= PATIENCE_SECONDS
