"""The rooms in use, and the life of their takes. What goes wrong in one room ends there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import structlog

from contracts.access import Grant
from contracts.errors import LongwaveError, OverCapacity, TakeWasEnded, UnknownRoom
from contracts.ids import new_take_id
from contracts.metrics import Metrics
from contracts.take import TakeHeader, TakeKey, TakeSettings
from pipeline.grid import SAMPLE_RATE
from pipeline.mix.loudness import LoudnessBin
from storage.rooms import RoomRecord
from workers.bus import BusHub
from workers.claims import RoomClaims
from workers.headcount import Headcount
from workers.owner import TakeOwner
from workers.speaker import Speaker
from workers.stage import Stage
from workers.take_clock import Clocks, TakeClock, block_ns
from workers.take_keeper import TakeKeeper
from workers.take_memo import TakeMemo

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
    """`encoder` is the fingerprint for the headers of new takes, or says it; timeouts are in seconds.

    Without a sign of life, a sender of PCM is let go after `sender_timeout`, a voice after `voice_timeout`: a
    net below the WHIP session, which knows first. Where there may be `private_rooms`, one of which nothing is
    known because the storage gives no answer is taken for private: what was heard cannot be unheard.
    """

    encoder: str | Callable[[], str]
    idle_timeout: float = 60.0
    sender_timeout: float = 30.0
    voice_timeout: float = 10.0
    max_rooms: int = 200
    max_speakers: int = 16
    private_rooms: bool = False

    @property
    def fingerprint(self) -> str:
        """The encoder that a take which begins now is for."""
        return self.encoder() if callable(self.encoder) else self.encoder

    @property
    def unknown(self) -> RoomRecord:
        """What the host of a room is taken to want where nobody can say."""
        return RoomRecord(visibility="private" if self.private_rooms else "public")


class Stages:
    """Rooms by their id: each is here while somebody is connected or a take of it lives."""

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        hub: BusHub,
        keeper: TakeKeeper,
        settings: IngestSettings,
        metrics: Metrics,
        clocks: Clocks,
        claims: RoomClaims,
        *,
        record_of: Callable[[str], RoomRecord | None],
    ) -> None:
        self.headcount = Headcount(metrics, settings.sender_timeout, settings.voice_timeout)
        self._hub = hub
        self._keeper = keeper
        self._settings = settings
        self._metrics = metrics
        self._clocks = clocks
        self._claims = claims
        self._record_of = record_of
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

    def check_place(self, room: str) -> None:
        """Raises OverCapacity where `room` would be one too many."""
        if room not in self._stages and len(self._stages) >= self._settings.max_rooms:
            raise OverCapacity(f"all {self._settings.max_rooms} rooms of this server are in use")

    def admit(self, room: str, settings: TakeSettings, name: str | None, grant: Grant) -> Stage:
        """The room for somebody who wants to come in. Raises Forbidden or OverCapacity."""
        self.check_place(room)
        stage = self._stages.get(room) or Stage(room, settings)
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
        """A take that goes on, after a restart or from another ingest."""
        stage = Stage(owner.bus.key.room, owner.bus.header.settings, owner)
        stage.loudness = owner.mixer.loudness.snapshot()
        self._stages[stage.room] = stage
        self._note(owner, stage.loudness)

    def begin_if_ready(self, speaker: Speaker[Any], now_ns: int) -> None:
        """Begin the room's take, if there is none, with the first sound of `speaker`."""
        stage = self._stages.get(speaker.room)
        if stage is None or stage.owner is not None or speaker not in stage.speakers:
            return
        if not speaker.source.ready or not self._claims.owns(stage.room):
            return
        # In step with the ticker: block 0 is over exactly when it looks next.
        zero_ns = self._ticked_ns if now_ns - self._ticked_ns < block_ns(self._clocks.block) else now_ns
        epoch_us = self._clocks.wall_us() - (now_ns - zero_ns) // 1000
        key = TakeKey(stage.room, new_take_id(epoch_us, os.urandom(4)))
        header = TakeHeader(epoch_us, self._frozen(stage), self._settings.fingerprint)
        owner = TakeOwner(self._hub.open(key, header), TakeClock(zero_ns, self._clocks.block), now_ns)
        self._keeper.keep(key, header, generation=self._claims.generation(key.room) or 0)
        stage.begin(owner)
        self._note(owner, ())
        log.info("take begins", room=key.room, take=key.take)

    def end(self, stage: Stage, owner: TakeOwner) -> tuple[TakeKey, int]:
        """End a take where it is and close its connections; the take and its samples."""
        key = owner.bus.key
        samples = owner.end()
        self.headcount.count(owner, stage.speakers)
        self._keep_end(owner)
        self._stages.pop(stage.room, None)
        stage.close(TakeWasEnded("the take was ended: connect again to start another"))
        log.info("take ends", room=key.room, take=key.take, samples=samples)
        return key, samples

    def depose(self, room: str) -> None:
        """Another ingest owns the room: its connections go, its takes are forgotten here, and live there."""
        self._metrics.rooms_deposed.inc()
        stage = self._stages.pop(room, None)
        for bus in self._hub.live():
            if bus.key.room == room:
                self._keeper.abandon(bus.key)
                self._hub.close(bus.key)
        if stage is not None:
            stage.close(OverCapacity("another ingest took this room over: connect again"))

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
        self._keep_end(owner)

    def _keep_end(self, owner: TakeOwner) -> None:
        """All that is known of a take that is over, for its story and for who may have to tell it."""
        key, loudness = owner.bus.key, owner.mixer.loudness.snapshot()
        self._note(owner, loudness)
        self._keeper.measured(key, loudness)
        self._keeper.ended(key, owner.bus.top, final=self._claims.accepted(key))

    def _frozen(self, stage: Stage) -> TakeSettings:
        """Settings of the take that begins now.

        They are those under which its speakers came in, but for its privacy: a host who closes the room
        before anybody has said a word closes it for this take.
        """
        record = self._record_of(stage.room)
        return stage.settings if record is None else replace(stage.settings, private=record.private)

    def _note(self, owner: TakeOwner, loudness: tuple[LoudnessBin, ...]) -> None:
        """What another ingest, or this one after a crash, needs to go on with the take."""
        key, orders = owner.bus.key, owner.guests.orders
        self._keeper.tell(key, owner.fresh_events(), orders)
        generation = self._claims.generation(key.room) or 0
        memo = TakeMemo(owner.bus.header, generation, owner.named, orders, loudness, owner.bus.ended)
        self._claims.note(key, memo)

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
            self._note(owner, stage.loudness)
            stage.count_at = top + SAMPLE_RATE
        if top >= stage.measure_at:
            stage.loudness = owner.mixer.loudness.snapshot()
            self._keeper.measured(owner.bus.key, stage.loudness)
            stage.measure_at = top + _MEASURE_EVERY
        if top >= stage.note_at:
            stage.note_at = self._keeper.note(owner.bus.key, top, named=owner.named)
        idle = not stage.speakers and now_ns - owner.alone_ns >= self._settings.idle_timeout * _SECOND_NS
        # Who is cut off cannot know whether its speakers went on elsewhere: that is for others to decide.
        if idle and self._claims.in_touch:
            self.end(stage, owner)
