"""`meta.json`: what a host may change of a replay after the fact, and the tombstone of one that was deleted.

{"title", "chapters": [{"sample", "title"}] or null, "published", "deleted_at": null}

It is written by compare and swap, so that of two hosts who edit at once one is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storage.take_record import TakeRecord


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter begins at `sample`."""

    sample: int
    title: str

    def to_json(self) -> dict[str, object]:
        """`{"sample", "title"}`."""
        return {"sample": self.sample, "title": self.title}


@dataclass(frozen=True, slots=True)
class TakeMeta:
    """A host's word on a replay.

    An empty `title` is the room's with the day; `chapters` is None where those of the story hold.
    `deleted_at` (ISO 8601) is the tombstone: nothing brings this take back.
    """

    title: str = ""
    chapters: tuple[Chapter, ...] | None = None
    published: bool = True
    deleted_at: str | None = None

    def shown_title(self, story: TakeRecord) -> str:
        """What listeners read: the host's title, else the room's (or its id) and the day of the take."""
        day = story.started_at
        return self.title or f"{story.room_title or story.key.room}, {day.day} {day:%B %Y}"

    def shown_chapters(self, story: TakeRecord) -> tuple[Chapter, ...]:
        """The chapters that hold, in the order of time, each sample once, none at or after the end."""
        chapters = self.chapters
        if chapters is None:
            chapters = tuple(Chapter(event.sample, event.title) for event in story.chapters)
        by_sample = {each.sample: each for each in chapters if 0 <= each.sample < story.samples}
        return tuple(by_sample[sample] for sample in sorted(by_sample))

    def to_json(self) -> dict[str, object]:
        """The file's form."""
        chapters = None if self.chapters is None else [chapter.to_json() for chapter in self.chapters]
        return {
            "title": self.title,
            "chapters": chapters,
            "published": self.published,
            "deleted_at": self.deleted_at,
        }

    @classmethod
    def from_json(cls, obj: Any) -> TakeMeta:  # noqa: ANN401 - parsed JSON
        """From the file's form. Raises KeyError, TypeError or ValueError on nonsense."""
        chapters = obj["chapters"]
        return cls(
            title=str(obj["title"]),
            chapters=None
            if chapters is None
            else tuple(Chapter(int(chapter["sample"]), str(chapter["title"])) for chapter in chapters),
            published=bool(obj["published"]),
            deleted_at=None if obj["deleted_at"] is None else str(obj["deleted_at"]),
        )
