"""One live take as it is kept: what is on disk of it, and what should be."""

from __future__ import annotations

import asyncio

import structlog

from contracts.take import TakeEvent, TakeHeader, TakeKey
from pipeline.mix.loudness import LoudnessBin
from storage.event_log import EventLog
from workers.guest_list import NO_ORDERS
from workers.take_store import Reservation, TakeFile, TakeStore

log = structlog.get_logger()


class KeptTake:
    """One take: what is on disk of it, and what should be."""

    def __init__(self, key: TakeKey, header: TakeHeader, stored: Reservation | None, generation: int) -> None:
        self.key = key
        self.header = header
        self.file: TakeFile | None = None
        self.wanted = stored or Reservation(1, generation=generation)
        self.safe = self.wanted.reserved if stored else 0
        self.safe_generation = self.wanted.generation if stored else 0
        self.safe_end = stored is not None and stored.ended
        self.late_msn = -1
        self.trouble: str | None = None
        self.stored = stored is not None
        self.events: list[TakeEvent] = []
        self.event_log: EventLog | None = None
        self.orders = self.safe_orders = NO_ORDERS
        self.loudness: tuple[LoudnessBin, ...] = ()
        self.safe_loudness: tuple[LoudnessBin, ...] = ()
        self.final = False
        self.told = False
        self.news = asyncio.Event()
        self.written = asyncio.Event()
        self.done = False
        self.closing = False
        self.task: asyncio.Task[None]

    @property
    def over(self) -> bool:
        """Nothing is left to be done but to remove it."""
        return self.done and (self.told or not self.wanted.ended)

    def put(self, store: TakeStore, wanted: Reservation, sync: bool) -> None:  # noqa: FBT001 - through an executor
        """Write the reservation. In a thread, and in one at a time for each take."""
        if self.file is not None:
            self.file.write(wanted, sync=sync)
        elif self.stored:
            self.file = store.open(self.key)
            self.file.write(wanted, sync=sync)
        else:
            self.file = store.create(self.key, self.header, wanted)

    def append(self, store: TakeStore, events: tuple[TakeEvent, ...]) -> None:
        """Write what has happened. In a thread, as `put`."""
        if self.event_log is None:
            self.event_log = store.event_log(self.key)
        self.event_log.append(events)

    def remove(self, store: TakeStore) -> None:
        """Take it from the disk. In a thread, as `put`."""
        store.forget(self.key)
        self.close()

    def close(self) -> None:
        """Give its files back."""
        for file in (self.file, self.event_log):
            if file is not None:
                file.close()

    def say(self, trouble: str) -> None:
        """The disk fails this take; logged once, until it works again."""
        if self.trouble is None:
            log.warning("a take cannot be stored", room=self.key.room, take=self.key.take, reason=trouble)
        self.trouble = trouble

    def recovered(self) -> None:
        """The disk has taken all that was new."""
        if self.trouble is not None:
            log.info("takes are stored again", room=self.key.room, take=self.key.take)
            self.trouble = None
