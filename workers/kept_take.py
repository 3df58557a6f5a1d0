"""One take as its keeper knows it: what is on disk of it, and what should be."""

from __future__ import annotations

import asyncio

from contracts.take import TakeEvent, TakeHeader, TakeKey
from pipeline.mix.loudness import LoudnessBin
from storage.event_log import EventLog
from workers.guest_list import NO_ORDERS
from workers.take_store import Reservation, TakeFile


class KeptTake:
    """One take: what is on disk of it, and what should be."""

    def __init__(self, key: TakeKey, header: TakeHeader, stored: Reservation | None) -> None:
        self.key = key
        self.header = header
        self.file: TakeFile | None = None
        self.wanted = stored or Reservation(1)
        self.safe = self.wanted.reserved if stored else 0
        self.safe_end = stored is not None and stored.ended
        self.late_msn = -1
        self.trouble: str | None = None
        self.stored = stored is not None
        self.events: list[TakeEvent] = []
        self.event_log: EventLog | None = None
        self.orders = self.safe_orders = NO_ORDERS
        self.loudness: tuple[LoudnessBin, ...] = ()
        self.safe_loudness: tuple[LoudnessBin, ...] = ()
        self.told = False
        self.news = asyncio.Event()
        self.written = asyncio.Event()
        self.done = False
        self.closing = False
        self.task: asyncio.Task[None]

    def close(self) -> None:
        """Give its files back."""
        for file in (self.file, self.event_log):
            if file is not None:
                file.close()
