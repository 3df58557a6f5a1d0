"""All WHIP sessions of a server, by their ids."""

from __future__ import annotations

import asyncio
from typing import Final

from contracts.access import Grant
from contracts.errors import OverCapacity, UnknownSession
from contracts.metrics import Metrics
from workers.whip.offer import Offer
from workers.whip.ports import Door, open_door
from workers.whip.session import Session, VoiceIngest
from workers.whip.settings import WhipSettings

_GOING_DOWN: Final = "this server goes down: connect again in a moment"


class Sessions:
    """Each is served by a task of its own, until it is over or the server is."""

    def __init__(self, ingest: VoiceIngest, settings: WhipSettings, metrics: Metrics) -> None:
        self._ingest = ingest
        self._settings = settings
        self._metrics = metrics
        self._door: Door | None = None
        self._here: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def open(self, room: str, name: str | None, grant: Grant, offer: Offer) -> tuple[Session, str]:
        """Let a speaker in; the session and its answer. Raises what `Ingest.connect_voice` does.

        What goes wrong leaves nothing behind: no speaker, no socket.
        """
        if self._door is None:
            self._door = await open_door(self._settings)
        if self._closing:
            raise OverCapacity(_GOING_DOWN)
        speaker = await self._ingest.connect_voice(room, name, grant=grant)
        try:
            session = Session(self._ingest, speaker, self._settings, self._metrics)
            answer = await session.open(offer, self._door)
        except BaseException:
            self._ingest.leave(speaker)
            raise
        self._here[session.id] = session
        task = asyncio.create_task(session.run(), name=f"WHIP session in {room}")
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._forget(session, task))
        return session, answer

    def find(self, room: str, session_id: str) -> Session:
        """Raises UnknownSession."""
        session = self._here.get(session_id)
        if session is None or session.room != room:
            raise UnknownSession("no such session, or not any more: POST an offer to start another")
        return session

    async def stop(self) -> None:
        """End all of them."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, session: Session, task: asyncio.Task[None]) -> None:
        self._here.pop(session.id, None)
        self._tasks.discard(task)
