"""Tells the story of a take that is over, from all that was kept of it while it lived."""

from __future__ import annotations

from contracts.take import TakeHeader, TakeKey
from pipeline.mix.loudness import LoudnessMeter
from storage.rooms import RoomRecord, RoomStore
from storage.stories import Stories
from storage.take_record import Ending, Loudness, take_record
from workers.take_store import TakeStore


class Storyteller:
    """Puts `story.json`. Blocking: call it from a thread."""

    def __init__(self, store: TakeStore, stories: Stories, rooms: RoomStore) -> None:
        self._store = store
        self._stories = stories
        self._rooms = rooms

    def tell(self, key: TakeKey, header: TakeHeader, samples: int) -> None:
        """Tell of a take of `samples`; what was told before stays. Raises StorageUnavailable."""
        room = self._rooms.get(key.room) or RoomRecord()
        ending = Ending(self._loudness(key, header), room.title, published=room.replays == "published")
        self._stories.put(take_record(key, header, samples, self._store.events(key), ending))

    def _loudness(self, key: TakeKey, header: TakeHeader) -> Loudness | None:
        meter = LoudnessMeter(header.settings.channels)
        meter.resume(self._store.loudness(key))
        integrated = meter.integrated
        return None if integrated is None else Loudness(integrated)
