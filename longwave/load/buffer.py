"""What a listener has to play: media in real time, and the moments when there was none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_NO_TIME: Final = 1e-6
"""Less than this is what floats leave over of nothing."""
_ENOUGH: Final = 0.1
"""Seconds that browsers want to have ahead before they begin, or begin again."""


@dataclass(slots=True)
class Buffer:
    """A player's buffer. Times are monotonic seconds, positions seconds of media since tune-in.

    It plays at speed 1 as soon as there is enough to play, and where it runs dry it waits until there is
    again, at the position where it stopped: it never catches up, so what it missed stays as distance to the
    live edge.
    """

    position: float = 0.0
    end: float = 0.0
    playing: bool = False
    started: bool = False
    closed: bool = False
    dry_since: float | None = None
    """The instant at which it ran dry, while it is."""
    _at: float = 0.0

    def begin(self, position: float) -> None:
        """Take `position` as the place to play from, before anything was appended; also to begin anew.

        One that had played before stays dry until it plays again.
        """
        self.position, self.end, self.closed = position, 0.0, False

    def append(self, seconds: float, now: float) -> float:
        """Media came. Returns for how long it was dry, if it was and now is not; else 0."""
        self.advance(now)
        self.end += seconds
        if self.playing or self.ahead < _ENOUGH:
            return 0.0
        dry, self.dry_since = self.dry_since, None
        self.playing = self.started = True
        self._at = now
        return 0.0 if dry is None else now - dry

    def jump(self, seconds: float) -> None:
        """Before it plays: begin behind so much media that is not there."""
        self.end += seconds
        self.position = self.end

    def close(self) -> None:
        """No more will come: running dry is the end."""
        self.closed = True

    def advance(self, now: float) -> bool:
        """Play up to `now`. Returns whether it ran dry on the way, at `dry_since`."""
        if not self.playing:
            return False
        self.position += now - self._at
        self._at = now
        over = self.position - self.end
        if over <= _NO_TIME:
            return False
        self.position, self.playing = self.end, False
        if self.closed:
            return False
        self.dry_since = now - over
        return True

    def interrupt(self, now: float) -> bool:
        """Forget what was not played yet. Returns whether this makes it dry."""
        self.advance(now)
        if not self.playing:
            return False
        self.playing, self.dry_since = False, now
        return True

    @property
    def ahead(self) -> float:
        """Seconds that are left to play, as of the last `advance`."""
        return max(0.0, self.end - self.position)
