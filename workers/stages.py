"""The rooms in use, and the life of their takes. What goes wrong in one room ends there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from contracts.access import Grant
from contracts.errors import Busy, LongwaveError, OverCapacity, UnknownRoom
from contracts.ids import new_take_id
from contracts.metrics import Metrics
from contracts.take import TakeHeader, TakeKey, TakeSettings
from pipeline.grid import SAMPLE_RATE
from workers.bus import BusHub
from workers.headcount import Headcount
from workers.owner import TakeOwner
from workers.speaker import Speaker
from workers.stage import Stage
from workers.take_clock import Clocks, TakeClock, block_ns
from workers.take_keeper import TakeKeeper

log = structlog.get_logger()

T = TypeVar("T")

_SECOND_NS: Final = 1_000_000_000
# Timeouts are of seconds: nobody is looked at with every block.
_LOOK_NS: Final = 100_000_000
# After so long a standstill of the process nobody could give a sign of life, and has so long to do it now:
# who watches over a silent voice says every 1.5 s at the latest that it is there.
_STOOD_NS: Final = _SECOND_NS
_GRACE_NS: Final = 2 * _SECOND_NS
# Samples between two looks at how loud a take was: what a crash loses of them is lost for that figure alone.
_MEASURE_EVERY: Final = 10 * SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """`encoder` is the fingerprint for the headers of new takes; timeouts are in seconds.

    Without a sign of life, a sender of PCM is let go after `sender_timeout`, a voice after `voice_timeout`: a
    net below the WHIP session, which knows first.
    """

    encoder: str
    idle_timeout: float = 60.0
    sender_timeout: float = 30.0
    voice_timeout: float = 10.0
    max_rooms: int = 200
    max_speakers: int = 16


class Stages:
    """Rooms by their id: each is here while somebody is connected or a take of it lives."""

    def __init__(
        self, hub: BusHub, keeper: TakeKeeper, settings: IngestSettings, metrics: Metrics, clocks: Clocks
    ) -> None:
        self.headcount = Headcount(metrics, settings.sender_timeout, settings.voice_timeout)
        self._hub = hub
        self._keeper = keeper
        self._settings = settings
        self._metrics = metrics
        self._clocks = clocks
        self._stages: dict[str, Stage] = {}
        self._ticked_ns = clocks.monotonic_ns()

    def __iter__(self) -> Iterator[Stage]:
        return iter([*self._stages.values()])

    def get(self, room: str) -> Stage | None:
        """`room`, if it is in use."""
        return self._stages.get(room)

    def live(self, room: str) -> Stage:
        """`room`, in which a take lives. Raises UnknownRoom where none does."""
        stage = self._stages.get(room)
        if stage is None or stage.owner is None:
            raise UnknownRoom("no take of this room is live")
        return stage

    def admit(self, room: str, settings: TakeSettings, name: str | None, grant: Grant) -> Stage:
        """The room for somebody who wants to come in. Raises Forbidden or OverCapacity."""
        stage = self._stages.get(room)
        if stage is None:
            if len(self._stages) >= self._settings.max_rooms:
                raise OverCapacity(f"all {self._settings.max_rooms} rooms of this server are in use")
            stage = Stage(room, settings)
        stage.check(name, grant, self._settings.max_speakers)
        return stage

    def enter(self, stage: Stage, speaker: Speaker[Any]) -> None:
        """Somebody who was admitted comes in."""
        self._stages[stage.room] = stage
        stage.enter(speaker)
        self._metrics.speakers.inc()

    def leave(self, speaker: Speaker[Any]) -> None:
        """A connection is gone."""
        self.headcount.leave(speaker)
        stage = self._stages.get(speaker.room)
        if stage is not None:
            stage.leave(speaker, self._clocks.monotonic_ns())
            if stage.empty:
                del self._stages[speaker.room]

    def resume(self, owner: TakeOwner) -> None:
        """A take that goes on after a restart."""
        self._stages[owner.bus.key.room] = Stage(owner.bus.key.room, owner.bus.header.settings, owner)

    def begin_if_ready(self, speaker: Speaker[Any], now_ns: int) -> None:
        """Begin the room's take, if there is none, with the first sound of `speaker`."""
        stage = self._stages.get(speaker.room)
        if stage is None or stage.owner is not None or speaker not in stage.speakers:
            return
        if not speaker.source.ready:
            return
        # In step with the ticker: block 0 is over exactly when it looks next.
        zero_ns = self._ticked_ns if now_ns - self._ticked_ns < block_ns(self._clocks.block) else now_ns
        epoch_us = self._clocks.wall_us() - (now_ns - zero_ns) // 1000
        key = TakeKey(stage.room, new_take_id(epoch_us, os.urandom(4)))
        header = TakeHeader(epoch_us, stage.settings, self._settings.encoder)
        owner = TakeOwner(self._hub.open(key, header), TakeClock(zero_ns, self._clocks.block), now_ns)
        self._keeper.keep(key, header)
        stage.begin(owner)
        log.info("take begins", room=key.room, take=key.take)

    def end(self, stage: Stage, owner: TakeOwner) -> tuple[TakeKey, int]:
        """End a take where it is and close its connections; the take and its samples."""
        key = owner.bus.key
        samples = owner.end()
        self.headcount.count(owner, stage.speakers)
        self._keeper.tell(key, owner.fresh_events(), owner.guests.orders)
        self._keeper.measured(key, owner.mixer.loudness.snapshot())
        self._keeper.ended(key, samples)
        self._stages.pop(stage.room, None)
        stage.close(Busy("the take was ended: connect again to start another"))
        log.info("take ends", room=key.room, take=key.take, samples=samples)
        return key, samples

    def tick(self, now_ns: int) -> None:
        """Write what is due in every room; see who fell silent and which takes are over."""
        stood = now_ns - self._ticked_ns >= _STOOD_NS
        self._ticked_ns = now_ns
        for stage in self:
            if stood:
                stage.look_ns = now_ns + _GRACE_NS
            self.guarded(self._tick, stage, now_ns)

    def guarded(self, work: Callable[[Stage, int], T], stage: Stage, now_ns: int) -> T | None:
        """An error of ours in one room ends that room's take, and no other's. What is over is left alone."""
        if self._stages.get(stage.room) is not stage:
            return None
        try:
            return work(stage, now_ns)
        except Exception:
            log.exception("room failed", room=stage.room)
            self._metrics.unexpected_errors.labels("owner").inc()
            self._stages.pop(stage.room, None)
            stage.close(LongwaveError("an error of this server's own: connect again"))
            if stage.owner is not None:
                self._give_up(stage.owner)
            return None

    def _give_up(self, owner: TakeOwner) -> None:
        """End a take that we failed at where its bus is; what is known of it is kept."""
        bus = owner.bus
        with contextlib.suppress(Exception):
            owner.end()
        bus.end(bus.top)
        self._keeper.tell(bus.key, owner.fresh_events(), owner.guests.orders)
        self._keeper.measured(bus.key, owner.mixer.loudness.snapshot())
        self._keeper.ended(bus.key, bus.top)

    def _tick(self, stage: Stage, now_ns: int) -> None:
        if now_ns >= stage.look_ns:
            stage.look_ns = now_ns + _LOOK_NS
            for speaker in stage.speakers:
                self.headcount.check_alive(speaker, now_ns)
        owner = stage.owner
        if owner is None:
            return
        owner.tick(now_ns)
        if owner.failed:
            for speaker, error in owner.take_failed():
                self.headcount.drop_broken(speaker, error)
        top = owner.bus.top
        if top >= stage.count_at:
            self.headcount.count(owner, stage.speakers)
            self._keeper.tell(owner.bus.key, owner.fresh_events(), owner.guests.orders)
            stage.count_at = top + SAMPLE_RATE
        if top >= stage.measure_at:
            self._keeper.measured(owner.bus.key, owner.mixer.loudness.snapshot())
            stage.measure_at = top + _MEASURE_EVERY
        if top >= stage.note_at:
            stage.note_at = self._keeper.note(owner.bus.key, top, named=owner.named)
        if not stage.speakers and now_ns - owner.alone_ns >= self._settings.idle_timeout * _SECOND_NS:
            self.end(stage, owner)
