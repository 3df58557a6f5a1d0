"""One connection's place in a take's mix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workers.live import LiveSpeaker
from workers.speaker import Speaker


class Seat:
    """Taken when `speaker` joins, given back when the last of it is on the bus.

    `elders` are the connections of the same name that it replaces. `joined` is the sample at which its name
    was first heard, `speaking` whether the story says that its voice is heard.
    """

    __slots__ = ("broken", "elders", "gone", "joined", "name", "speaker", "speaking", "strip")

    def __init__(self, speaker: Speaker[Any], elders: Sequence[Seat] = ()) -> None:
        self.speaker = speaker
        self.strip = speaker.strip
        self.name = speaker.name
        self.elders = elders
        self.gone = False
        self.broken = False
        self.joined: int | None = None
        self.speaking = False

    @property
    def over(self) -> bool:
        """Nothing of it will be heard any more: the connection is gone and all of it is on the bus."""
        return self.broken or (self.gone and not self.speaker.held and self.speaker.source.drained)

    def leave(self) -> None:
        """The connection is gone, or another one has taken its name."""
        self.gone = True
        self.speaker.source.finish()

    def live(self) -> LiveSpeaker:
        """How it is at this moment."""
        return LiveSpeaker(
            name=self.name,
            kind=self.speaker.kind,
            speaking=self.strip.speaking,
            muted=self.speaker.muted,
            joined=self.joined,
            counts=self.speaker.source.counts(),
        )
