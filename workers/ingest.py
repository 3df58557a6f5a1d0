"""The ingest: rooms, their takes and their speakers, and the one ticker that serves them all.

A room is here while somebody speaks into it or a take of it lives. What goes wrong in one room ends there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from contracts.errors import (
    Busy,
    DependencyError,
    LongwaveError,
    OverCapacity,
    SenderTimeout,
    UnknownRoom,
)
from contracts.ids import new_take_id
from contracts.metrics import Metrics
from contracts.take import TakeHeader, TakeKey, TakeSettings
from pipeline.grid import SAMPLE_RATE
from storage.rooms import RoomRecord, RoomStore
from workers.bus import BusHub
from workers.owner import TakeOwner
from workers.recovery import recovered
from workers.speaker import Speaker
from workers.take_clock import Clocks, TakeClock, block_ns, real_samples
from workers.take_keeper import TakeKeeper
from workers.ticker import CATCH_UP_NS, STALLED_NS, TURNS, ticks

log = structlog.get_logger()

_SECOND_NS: Final = 1_000_000_000
# What a sender waits for the disk to say what its room wants.
_DISK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """`encoder` is the fingerprint for the headers of new takes; timeouts are in seconds."""

    encoder: str
    idle_timeout: float = 60.0
    sender_timeout: float = 30.0
    max_rooms: int = 200


@dataclass(slots=True)
class _Stage:
    """A room that is in use: its take, if it has begun, and the connection that is there."""

    room: str
    settings: TakeSettings
    owner: TakeOwner | None = None
    speaker: Speaker | None = None
    note_at: int = 0


class Ingest:
    """Connections in, blocks on the bus out. One event loop; `start` it, then let speakers connect."""

    def __init__(
        self,
        hub: BusHub,
        rooms: RoomStore,
        keeper: TakeKeeper,
        settings: IngestSettings,
        metrics: Metrics,
        clocks: Clocks | None = None,
    ) -> None:
        self._hub = hub
        self._rooms = rooms
        self._keeper = keeper
        self._settings = settings
        self._metrics = metrics
        self._clocks = clocks or Clocks()
        self._stages: dict[str, _Stage] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._ticked_ns = self._clocks.monotonic_ns()
        self._closing = False

    @property
    def degraded(self) -> str | None:
        """What does not work although live audio does, in one line."""
        return self._keeper.degraded

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """Its tasks: none of them ever returns by itself."""
        return tuple(self._tasks)

    async def start(self) -> None:
        """Go on with the takes that were live when the last process stopped, and begin to tick."""
        idle_samples = int(self._settings.idle_timeout * SAMPLE_RATE)
        for owner in await recovered(self._keeper, self._hub, self._clocks, idle_samples):
            room = owner.bus.key.room
            self._stages[room] = _Stage(room, owner.bus.header.settings, owner)
        self._tasks = [
            asyncio.create_task(self._run(), name="ingest ticker"),
            asyncio.create_task(self._keeper.forget_published(self._hub), name="ingest published"),
        ]

    async def stop(self) -> None:
        """Let every speaker go. The takes are not ended: the next process goes on with them."""
        self._closing = True
        for stage in self._stages.values():
            if stage.speaker is not None:
                stage.speaker.close(OverCapacity("this server goes down: connect again in a moment"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._keeper.close()

    async def connect(self, room: str, name: str | None, channels: int) -> Speaker:
        """Let a sender in; before anything of it is read. Raises Busy or OverCapacity.

        Another connection under the same name is replaced: it is the same person on another network.
        """
        settings = await self._take_settings(room)
        stage = self._stages.get(room)
        if self._closing:
            raise OverCapacity("this server goes down: connect again in a moment")
        if stage is None:
            if len(self._stages) >= self._settings.max_rooms:
                raise OverCapacity(f"all {self._settings.max_rooms} rooms of this server are in use")
            stage = self._stages[room] = _Stage(room, settings)
        elif stage.speaker is not None:
            if name is None or name != stage.speaker.name:
                raise Busy("this room has a sender: wait until it leaves, or send into another room")
            stage.speaker.close(Busy("a newer connection of the same speaker took over"))
        stage.settings = settings
        stage.speaker = speaker = Speaker(
            room, name, channels, self._clocks.monotonic_ns(), self._clocks.block
        )
        if stage.owner is not None:
            stage.owner.join(speaker)
        self._metrics.speakers.inc()
        return speaker

    def feed(self, speaker: Speaker, data: bytes) -> None:
        """Bytes from a connection. The take begins with the first of them once the start buffer is full."""
        now_ns = self._clocks.monotonic_ns()
        speaker.feed(data, now_ns, real_samples(now_ns))
        self._begin_if_ready(speaker, now_ns)

    def finish(self, speaker: Speaker) -> None:
        """The connection has sent all it had; what was sent will be played."""
        speaker.intake.finish()
        self._begin_if_ready(speaker, self._clocks.monotonic_ns())

    def leave(self, speaker: Speaker) -> None:
        """The connection is gone; said exactly once for each that `connect` gave."""
        self._metrics.speakers.dec()
        self._metrics.late_samples.inc(speaker.intake.dropped)
        stage = self._stages.get(speaker.room)
        if stage is None or stage.speaker is not speaker:
            return
        stage.speaker = None
        if stage.owner is None:
            del self._stages[speaker.room]
        else:
            stage.owner.leave(speaker, self._clocks.monotonic_ns())

    def end(self, room: str) -> tuple[TakeKey, int]:
        """End the room's take where it is and close its speaker's connection; the take and its samples.

        Raises UnknownRoom where no take is live.
        """
        stage = self._stages.get(room)
        if stage is None or stage.owner is None:
            raise UnknownRoom("no take of this room is live")
        return stage.owner.bus.key, self._end(stage, stage.owner)

    def live_take(self, room: str) -> tuple[TakeOwner | None, Speaker | None]:
        """The take that lives in `room`, and the connection that is there, if any."""
        stage = self._stages.get(room)
        return (None, None) if stage is None else (stage.owner, stage.speaker)

    def tick(self, now_ns: int) -> None:
        """Write what is due in every room; see who fell silent and which takes are over."""
        self._ticked_ns = now_ns
        for stage in list(self._stages.values()):
            self._guarded(self._tick_room, stage, now_ns)

    def _tick_room(self, stage: _Stage, now_ns: int) -> bool:
        speaker, owner = stage.speaker, stage.owner
        if speaker is not None:
            self._check_alive(speaker, now_ns)
        if owner is None:
            return False
        owner.tick(now_ns)
        if owner.bus.top >= stage.note_at:
            self._count(owner)
            stage.note_at = self._keeper.note(owner.bus.key, owner.bus.top, named=owner.named)
        if speaker is None and now_ns - owner.alone_ns >= self._settings.idle_timeout * _SECOND_NS:
            self._end(stage, owner)
        return True

    def _check_alive(self, speaker: Speaker, now_ns: int) -> None:
        if speaker.waits_for_room or speaker.intake.muted:
            speaker.heard_ns = now_ns
        elif now_ns - speaker.heard_ns >= self._settings.sender_timeout * _SECOND_NS and not speaker.closed:
            seconds = f"{self._settings.sender_timeout:g}"
            speaker.close(
                SenderTimeout(f"nothing arrived for {seconds} seconds: send silence, or connect again")
            )
            self._metrics.speakers_dropped.labels("timeout").inc()

    def _begin_if_ready(self, speaker: Speaker, now_ns: int) -> None:
        stage = self._stages.get(speaker.room)
        if (
            stage is None
            or stage.speaker is not speaker
            or stage.owner is not None
            or not speaker.intake.ready
        ):
            return
        # In step with the ticker: block 0 is over exactly when it looks next.
        zero_ns = self._ticked_ns if now_ns - self._ticked_ns < block_ns(self._clocks.block) else now_ns
        epoch_us = self._clocks.wall_us() - (now_ns - zero_ns) // 1000
        key = TakeKey(stage.room, new_take_id(epoch_us, os.urandom(4)))
        header = TakeHeader(epoch_us, stage.settings, self._settings.encoder)
        owner = TakeOwner(self._hub.open(key, header), TakeClock(zero_ns, self._clocks.block), now_ns)
        self._keeper.keep(key, header)
        owner.join(speaker)
        stage.owner = owner
        log.info("take begins", room=key.room, take=key.take)

    def _end(self, stage: _Stage, owner: TakeOwner) -> int:
        key = owner.bus.key
        samples = owner.end()
        self._count(owner)
        self._keeper.ended(key, samples)
        self._close_stage(stage, Busy("the take was ended: connect again to start another"))
        log.info("take ends", room=key.room, take=key.take, samples=samples)
        return samples

    def _close_stage(self, stage: _Stage, reason: LongwaveError) -> None:
        self._stages.pop(stage.room, None)
        if stage.speaker is not None:
            stage.speaker.close(reason)

    async def _take_settings(self, room: str) -> TakeSettings:
        """What the room's host wants for the next take; the defaults where the disk does not say in time."""
        record = self._rooms.known(room)
        if record is None:
            try:
                async with asyncio.timeout(_DISK_SECONDS):
                    record = await asyncio.to_thread(self._rooms.get, room)
            except (DependencyError, TimeoutError) as error:
                log.warning("room record cannot be read", room=room, reason=str(error) or "the disk hangs")
        return (record or RoomRecord()).settings

    async def _run(self) -> None:
        async for now_ns, late_ns in ticks(self._clocks.monotonic_ns, block_ns(self._clocks.block)):
            if STALLED_NS < late_ns < CATCH_UP_NS:
                await self._catch_up(now_ns)
            self.tick(self._clocks.monotonic_ns())

    async def _catch_up(self, now_ns: int) -> None:
        """After a stall: what waits in the sockets is played before anything is called silence."""
        log.debug("the process stood still", milliseconds=(now_ns - self._ticked_ns) // 1_000_000)
        hungry = [stage for stage in self._stages.values() if stage.owner is not None]
        while hungry:
            hungry = [stage for stage in hungry if self._guarded(_eat, stage, now_ns)]
            before = [_received(stage) for stage in hungry]
            for _ in range(TURNS):
                await asyncio.sleep(0)
            hungry = [stage for stage, was in zip(hungry, before, strict=True) if _received(stage) != was]

    def _guarded(self, work: Callable[[_Stage, int], bool], stage: _Stage, now_ns: int) -> bool:
        """An error of ours in one room ends that room's take, and no other's."""
        try:
            return work(stage, now_ns)
        except Exception:
            log.exception("room failed", room=stage.room)
            self._metrics.unexpected_errors.labels("owner").inc()
            self._close_stage(stage, LongwaveError("an error of this server's own: connect again"))
            if stage.owner is not None:
                with contextlib.suppress(Exception):
                    self._keeper.ended(stage.owner.bus.key, stage.owner.end())
            return False

    def _count(self, owner: TakeOwner) -> None:
        self._metrics.samples.labels("sound").inc(owner.sound)
        self._metrics.samples.labels("silence").inc(owner.silence)
        owner.sound = owner.silence = 0


def _eat(stage: _Stage, now_ns: int) -> bool:
    """Write what is here; True if the sender should be read once more."""
    return stage.owner is not None and stage.owner.tick(now_ns, patient=True)


def _received(stage: _Stage) -> int:
    return 0 if stage.speaker is None else stage.speaker.intake.received
