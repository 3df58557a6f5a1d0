"""A room that is in use: the connections into it, and its take once that has begun."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from contracts.access import Grant
from contracts.errors import Busy, Forbidden, LongwaveError, OverCapacity, UnknownRoom
from contracts.take import TakeEvent, TakeSettings
from pipeline.grid import SAMPLE_RATE
from pipeline.mix.loudness import LoudnessBin
from workers.guest_list import GuestList
from workers.owner import TakeOwner
from workers.speaker import Speaker

# Who left is in the mix until all that was sent is played, a second at most. Each costs as much as a speaker.
_CROWD: Final = 2


@dataclass(slots=True)
class Stage:
    """Somebody is connected, or a take lives. `settings` are those that the room had when it came into use.

    `look_ns` is when to see who is still there; `note_at`, `count_at` and `measure_at` are the samples at
    which there is something to note, to count and to measure again; `loudness` was measured last.
    """

    room: str
    settings: TakeSettings
    owner: TakeOwner | None = None
    speakers: list[Speaker[Any]] = field(default_factory=list)
    look_ns: int = 0
    note_at: int = 0
    count_at: int = 0
    measure_at: int = SAMPLE_RATE
    loudness: tuple[LoudnessBin, ...] = ()

    @property
    def empty(self) -> bool:
        """Nobody is connected and no take lives."""
        return self.owner is None and not self.speakers

    @property
    def live(self) -> TakeOwner:
        """The owner of its take. Raises UnknownRoom where none is live."""
        if self.owner is None:
            raise UnknownRoom("no take of this room is live")
        return self.owner

    def named(self, name: str | None) -> Speaker[Any] | None:
        """The connection of that name; those without a name are each somebody of their own."""
        return next((speaker for speaker in self.speakers if name is not None and speaker.name == name), None)

    def check(self, name: str | None, grant: Grant, most: int) -> None:
        """Raises Forbidden for who was removed, OverCapacity where `most` speakers are there already."""
        if self.owner is not None:
            self.owner.guests.check(name, grant)
        if len(self.speakers) >= most and self.named(name) is None:
            raise OverCapacity(f"all {most} places for speakers in this room are taken")
        if self.owner is not None and self.owner.crowd >= _CROWD * most:
            raise OverCapacity("too many have come and gone in this room within a second")

    def guest_name(self) -> str:
        """A name for a voice that came without one."""
        guests = GuestList() if self.owner is None else self.owner.guests
        return guests.free_name({speaker.name for speaker in self.speakers})

    def enter(self, speaker: Speaker[Any]) -> None:
        """Somebody connected. Another connection of the same name is the same person on another network."""
        old = self.named(speaker.name)
        if old is not None:
            self.speakers.remove(old)
            old.close(Busy("a newer connection of the same speaker took over"))
        self.speakers.append(speaker)
        if self.owner is not None:
            self.owner.join(speaker)

    def leave(self, speaker: Speaker[Any], now_ns: int) -> None:
        """The connection is gone; nothing happens where it was replaced before."""
        if speaker not in self.speakers:
            return
        self.speakers.remove(speaker)
        if self.owner is not None:
            self.owner.leave(speaker)
            self.owner.alone_ns = now_ns

    def begin(self, owner: TakeOwner) -> None:
        """The take begins with everybody who is connected."""
        self.owner = owner
        for speaker in self.speakers:
            owner.join(speaker)

    def mute(self, name: str) -> None:
        """The host wants to hear nothing of `name`. Raises UnknownRoom where nobody of that name is in it."""
        self.live.mute(name)
        self._store_soon()

    def unmute(self, name: str) -> None:
        """The host wants to hear `name` again. Raises UnknownRoom as `mute` does."""
        self.live.unmute(name)
        self._store_soon()

    def chapter(self, title: str) -> TakeEvent:
        """The host begins a chapter. Raises UnknownRoom where no take is live."""
        event = self.live.chapter(title)
        self._store_soon()
        return event

    def remove(self, name: str) -> None:
        """The host puts `name` out of the take. Raises UnknownRoom where nobody of that name is in it."""
        self.live.remove(name)
        self._store_soon()
        speaker = self.named(name)
        if speaker is not None:
            speaker.close(Forbidden("the host has removed you from this take"))

    def close(self, reason: LongwaveError) -> None:
        """Break off every connection."""
        for speaker in self.speakers:
            speaker.close(reason)

    def _store_soon(self) -> None:
        """With the next tick, not within a second: the host is told that it is done, which should last."""
        self.count_at = 0
