"""Stories of takes that are over: `story.json` in the storage, written once and never again."""

from __future__ import annotations

from storage.documents import to_bytes
from storage.names import STORY, take_object
from storage.objects import Objects
from storage.take_record import TakeRecord


class Stories:
    """Where an owner leaves what it knows of a take. Blocking: call it from a thread."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, story: TakeRecord) -> bool:
        """Keep a story, durably; False where the take has one, which stays. Raises StorageUnavailable."""
        return self._objects.put_new(take_object(story.key, STORY), to_bytes(story.to_json()))
