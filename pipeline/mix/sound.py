"""What is done to the sound of one speaker before it is mixed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sound:
    """A speaker's treatment: rumble filter and automatic level, or neither: as it is."""

    filtered: bool = False
    levelled: bool = False

    @property
    def as_it_is(self) -> bool:
        """Nothing is done to it: alone in a room, 16-bit samples come out as they went in."""
        return not (self.filtered or self.levelled)


AS_IT_IS = Sound()
"""A finished programme, as an encoder or a file sends it."""
VOICE = Sound(filtered=True, levelled=True)
"""A microphone."""
