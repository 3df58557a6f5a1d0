"""A fresh or restarted origin gets what it lacks of its windows from its sisters, before it takes anything.

Nothing can be put before what is listed: a worker that came first, with the few segments that it has, would
cut the window short. So until the sisters have answered, or their time is up, nothing is taken from workers
and no playlist is shown. What no sister had then is for the workers to put.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import LongwaveError, OverLimit
from origin.contents import contents, event_of
from origin.journal_format import RecordKind
from origin.merge import merge, wanted_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts.take import TakeKey
    from origin.journal_format import Record
    from origin.live_take import LiveTake
    from origin.service import Origin
    from origin.sisters import Offer, Received, Sister
    from pipeline.take_window import TakeWindow

log = structlog.get_logger()

PATIENCE_SECONDS: Final = 2.0
"""The longest that a sister may send nothing."""
TOTAL_SECONDS: Final = 5.0
"""The longest that it takes in all, as the design promises of an origin that started empty."""
# Windows that are asked of one sister at once: she serves listeners meanwhile.
_AT_ONCE: Final = 4


def start_filling(
    origin: Origin,
    sisters: Sequence[Sister],
    *,
    patience: float = PATIENCE_SECONDS,
    total: float = TOTAL_SECONDS,
) -> asyncio.Task[None]:
    """Begin to fill `origin`, which shows and takes nothing from now until the task is done.

    To be called after the journal was reloaded and before anybody is let in. The task returns in any case,
    after `total` seconds at most, and closes the sisters.
    """
    origin.being_filled = True
    return asyncio.create_task(_Filling(origin, sisters, patience, total).run(), name="filling")


class _Filling:
    def __init__(self, origin: Origin, sisters: Sequence[Sister], patience: float, total: float) -> None:
        self._origin = origin
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._deadline = self._begun + total
        self._sisters = {sister: asyncio.Semaphore(_AT_ONCE) for sister in sisters}
        self._given_up: set[Sister] = set()

    async def run(self) -> None:
        """Ask for what is missing, and let everybody in."""
        try:
            offered = await self._offered()
            # Live takes first, the newest first: time may not be enough for all.
            order = sorted(offered, key=lambda key: key.take, reverse=True)
            order.sort(key=lambda key: any(offer.state.end is not None for _, offer in offered[key]))
            await asyncio.gather(*(self._watched(key, offered[key]) for key in order))
        finally:
            self._origin.being_filled = False
            for sister in self._sisters:
                await sister.close()
        log.info(
            "this origin is filled",
            takes=len(self._origin.takes),
            bytes=self._origin.size(),
            seconds=round(self._loop.time() - self._begun, 3),
        )

    async def _offered(self) -> dict[TakeKey, list[tuple[Sister, Offer]]]:
        """Who has what."""
        offered: dict[TakeKey, list[tuple[Sister, Offer]]] = {}
        for sister, offers in await asyncio.gather(*map(self._offers, self._sisters)):
            for offer in offers:
                if offer.age < self._origin.limits.window_seconds:
                    offered.setdefault(offer.key, []).append((sister, offer))
        return offered

    async def _offers(self, sister: Sister) -> tuple[Sister, list[Offer]]:
        try:
            async with asyncio.timeout_at(min(self._deadline, self._begun + self._patience)):
                return sister, await sister.offers()
        except (LongwaveError, TimeoutError) as error:
            self._give_up(sister, str(error) or "no answer in time")
            return sister, []
        except Exception:
            # Whatever is wrong with one of them: the others are asked.
            self._origin.metrics.unexpected_errors.labels("filling").inc()
            log.exception("unexpected error while a sister was asked", sister=sister.name)
            return sister, []

    async def _watched(self, key: TakeKey, offers: list[tuple[Sister, Offer]]) -> None:
        """One take. A bug that it meets costs this take alone."""
        try:
            await self._fill(key, offers)
        except Exception:
            self._origin.metrics.unexpected_errors.labels("filling").inc()
            log.exception("unexpected error while a take is filled", room=key.room, take=key.take)

    async def _fill(self, key: TakeKey, offers: list[tuple[Sister, Offer]]) -> None:
        """Ask one sister after another for what is still missing, the one with the longest window first."""
        segments = self._origin.limits.window_segments
        for sister, offer in sorted(offers, key=lambda each: _span(each[1])):
            async with self._sisters[sister]:
                ours = self._origin.takes.find(key)
                start = wanted_from(None if ours is None else ours.window.state(), offer.state, segments)
                if start is None or sister in self._given_up or self._loop.time() >= self._deadline:
                    continue
                received = await sister.window(
                    key, start, window_segments=segments, patience=self._patience, deadline=self._deadline
                )
            if received.trouble is not None:
                self._give_up(sister, received.trouble)
            if received.window is not None:
                self._take_over(key, received, received.window, start, offer.age)

    def _give_up(self, sister: Sister, reason: str) -> None:
        if sister not in self._given_up:
            self._given_up.add(sister)
            log.warning("a sister does not help to fill this origin", sister=sister.name, reason=reason)

    # ------------------------------------------------------------ what has come

    def _take_over(
        self, key: TakeKey, received: Received, theirs: TakeWindow, start: int, age: float
    ) -> None:
        origin = self._origin
        ours = origin.takes.find(key)
        touched = origin.clock() - age
        if ours is not None and ours.header != theirs.header:
            origin.conflicts.note(key, "take.json", None, "a sister has another one", origin.clock())
        elif ours is None or _empty(ours):
            # Without its newest segments it would be shown as it was; a worker may have a better one.
            if received.complete:
                self._install(key, theirs, touched)
        elif start:
            touched = max(touched, ours.touched)
            _extend(origin, key, theirs)
            ours.touched = touched
        else:
            merged = merge(ours.window, theirs, origin.limits.window_segments)
            for rendition, msn in merged.conflicts:
                origin.conflicts.note(key, rendition, msn, "a sister has other bytes", origin.clock())
            if merged.window.state() != ours.window.state():
                origin.replace(key, merged.window, max(touched, ours.touched))

    def _install(self, key: TakeKey, window: TakeWindow, touched: float) -> None:
        try:
            self._origin.check_limits()
        except OverLimit as error:
            log.warning("a take is not filled", room=key.room, take=key.take, reason=error.message)
        else:
            self._origin.replace(key, window, touched)


def _span(offer: Offer) -> tuple[int, int]:
    """The less, the more there is."""
    lines = offer.state.renditions.values()
    firsts = [line.first for line in lines if line.first is not None]
    return min(firsts, default=2**63), -max((line.next.msn for line in lines), default=0)


def _empty(take: LiveTake) -> bool:
    """Whether nothing but its header is here."""
    return all(line.first is None for line in take.window.renditions.values())


def _extend(origin: Origin, key: TakeKey, theirs: TakeWindow) -> None:
    """Put what follows, as a worker would: it is journaled, and what is refused is counted."""
    names = list(theirs.renditions)
    for record in contents(theirs):
        with suppress(LongwaveError):
            _put(origin, key, names[record.rendition], record)


def _put(origin: Origin, key: TakeKey, rendition: str, record: Record) -> None:
    match record.kind:
        case RecordKind.INIT:
            origin.put_init(key, rendition, record.payload)
        case RecordKind.EVENT:
            origin.put_event(key, event_of(record))
        case RecordKind.PART:
            origin.put_part(key, rendition, record.number, record.part, record.payload)
        case RecordKind.GAP:
            origin.put_gap(key, rendition, record.number)
        case RecordKind.END:
            origin.end(key, record.number)
        case _:
            pass  # the header, which is equal; and whole segments are told as their parts
