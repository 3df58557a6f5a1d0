"""Stories of takes that are over: `story.json` in the storage, written once and never again."""

from __future__ import annotations

from contracts.errors import ObjectDamaged
from contracts.take import TakeKey
from storage.documents import to_bytes
from storage.names import STORY, take_object
from storage.objects import Objects
from storage.reading import is_deleted
from storage.take_record import TakeRecord


class Stories:
    """Where an owner leaves what it knows of a take. Blocking: call it from a thread."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, story: TakeRecord) -> bool:
        """Keep a story, durably; False where the take has one, which stays, or was deleted.

        Raises StorageUnavailable.
        """
        name = take_object(story.key, STORY)
        if self._deleted(story.key) or not self._objects.put_new(name, to_bytes(story.to_json())):
            return False
        if self._deleted(story.key):  # whoever deleted it meanwhile may not have seen this
            self._objects.delete([name])
            return False
        return True

    def _deleted(self, key: TakeKey) -> bool:
        try:
            return is_deleted(self._objects, key)
        except ObjectDamaged:
            return False
