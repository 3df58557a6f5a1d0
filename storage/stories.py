"""Stories of takes that are over: `story.json` in the storage, written once and never again."""

from __future__ import annotations

from contracts.errors import ObjectDamaged
from contracts.take import TakeKey
from storage.documents import from_bytes, to_bytes
from storage.meta import TakeMeta
from storage.names import META, STORY, take_object
from storage.objects import ObjectMissing, Objects
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
        name = take_object(key, META)
        try:
            meta = from_bytes(name, self._objects.read(name).data, TakeMeta.from_json)
        except (ObjectMissing, ObjectDamaged):
            return False
        return meta.deleted_at is not None
