"""One take at an origin: its window, its renditions as listeners see them, and when it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from contracts.errors import NotFound, NotReady
from contracts.take import TakeKey
from origin.cache_policy import Kind
from origin.journal_format import GROUP
from origin.line import Line
from origin.representation import Representation, encode, playlist
from pipeline.take_window import TakeWindow


class LiveTake:
    """A take in the window. Times are the origin's monotonic clock's."""

    def __init__(
        self,
        key: TakeKey,
        window: TakeWindow,
        make_line: Callable[[TakeKey, str, TakeWindow], Line],
        now: float,
    ) -> None:
        self.key = key
        self.header = window.header
        self.private = window.header.settings.private
        self.window = window
        self.lines: Mapping[str, Line] = {name: make_line(key, name, window) for name in window.renditions}
        self.touched = now
        """When something new was put last; once the take has ended, that is its end."""
        self.grew = now
        """When its playlists grew last, by sound or a gap: what is told of a take is not its live edge."""
        self._kept_from = 0
        self._multivariant: dict[tuple[int, bool], Representation] = {}

    @property
    def order(self) -> tuple[bool, int, str]:
        """A room's listeners get its greatest take: the newest that lives, else the newest."""
        return (not self.window.ended, self.header.epoch_us, self.key.take)

    def line(self, rendition: str) -> Line:
        """A rendition. Raises NotFound."""
        line = self.lines.get(rendition)
        if line is None:
            raise NotFound(f"this take has the renditions {', '.join(self.lines)}")
        return line

    def moved(self, now: float) -> None:
        """Something new was put."""
        self.touched = now
        for line in self.lines.values():
            line.moved()

    def opens(self) -> None:
        """What is in the window now is all that was listed: a journal or a sister had it."""
        for line in self.lines.values():
            line.opens()
            line.moved()

    def left(self) -> None:
        """The take has left the window."""
        for line in self.lines.values():
            line.left()

    def drain(self) -> None:
        """Turn away everybody who waits."""
        for line in self.lines.values():
            line.waiters.drain()

    def newly_evicted(self) -> int | None:
        """The lowest MSN that is still kept on disk, if whole files lie below it that did not before."""
        firsts = [line.window.first for line in self.lines.values()]
        listed = [first for first in firsts if first is not None]
        lowest = min(listed, default=0) // GROUP * GROUP
        if lowest <= self._kept_from:
            return None
        self._kept_from = lowest
        return lowest

    @property
    def filling(self) -> bool:
        """Whether a rendition is being filled."""
        return any(line.filling for line in self.lines.values())

    def listeners(self) -> int:
        """How many listen, as far as can be told."""
        return 0 if self.window.ended else sum(line.listeners() for line in self.lines.values())

    def multivariant(self, *, gzipped: bool) -> Representation:
        """The multivariant playlist, with URIs relative to the room. Raises NotReady while being filled."""
        if self.filling:
            raise NotReady("this origin is being filled: try again in a moment")
        # Every rendition's version grows with each put.
        name = (next(iter(self.lines.values())).window.version, gzipped)
        made = self._multivariant.get(name)
        if made is None:
            self._multivariant = {key: kept for key, kept in self._multivariant.items() if key[0] == name[0]}
            kind = Kind.ENDED_PLAYLIST if self.window.ended else Kind.MULTIVARIANT
            text = encode(self.window.multivariant(self.key.take), gzipped=gzipped)
            made = self._multivariant[name] = playlist(kind, text, self.key.take)
        return made
