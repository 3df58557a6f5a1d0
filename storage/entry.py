"""An entry of the catalogue, `replays/{room}/{take}`: what a list, a lobby or a feed says of one replay.

It is written after everything that it speaks of, again after each change, and removed before anything is
deleted: to list replays is to list entries, whatever else lies in the storage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contracts.ids import check_room, check_take
from contracts.take import TakeKey, read_private


@dataclass(frozen=True, slots=True)
class ReplayEntry:
    """One replay. `title` is what listeners read; `size` and `sha256` are those of the m4a.

    `derived` is the SHA-256 of the bytes of `derived.json`: an entry changes whenever what it speaks of does.
    A `private` one is for those who were let in, as its take was.
    """

    key: TakeKey
    title: str
    published: bool
    epoch_us: int
    samples: int
    speakers: tuple[str, ...]
    chapters: int
    size: int
    sha256: str
    derived: str
    private: bool = False

    def to_json(self) -> dict[str, object]:
        """The file's form."""
        return {
            "room": self.key.room,
            "take": self.key.take,
            "title": self.title,
            "published": self.published,
            "epoch_us": self.epoch_us,
            "samples": self.samples,
            "speakers": [*self.speakers],
            "chapters": self.chapters,
            "m4a": {"bytes": self.size, "sha256": self.sha256},
            "derived": self.derived,
            **({"private": True} if self.private else {}),
        }

    @classmethod
    def from_json(cls, obj: Any) -> ReplayEntry:  # noqa: ANN401 - parsed JSON
        """From the file's form. Raises KeyError, TypeError or ValueError (BadRequest) on nonsense."""
        return cls(
            key=TakeKey(check_room(obj["room"]), check_take(obj["take"])),
            title=str(obj["title"]),
            published=bool(obj["published"]),
            epoch_us=int(obj["epoch_us"]),
            samples=int(obj["samples"]),
            speakers=tuple(str(name) for name in obj["speakers"]),
            chapters=int(obj["chapters"]),
            size=int(obj["m4a"]["bytes"]),
            sha256=str(obj["m4a"]["sha256"]),
            derived=str(obj["derived"]),
            private=read_private(obj),
        )
