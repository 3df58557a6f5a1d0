"""The ingest: rooms, their takes and their speakers, and the one ticker that serves them all.

A room is here while somebody speaks into it or a take of it lives. What goes wrong in one room ends there.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import structlog

from contracts.access import Grant
from contracts.errors import BusUnavailable, LongwaveError, OverCapacity
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeKey
from pipeline.grid import SAMPLE_RATE
from pipeline.mix.sound import Sound
from pipeline.mix.strip import Strip
from pipeline.voice.opus import BadOpus
from pipeline.voice.packet import VoicePacket
from storage.rooms import RoomRecord, RoomSound, RoomStore
from workers.adoption import Adoption
from workers.bus import BusHub
from workers.catch_up import Speakers, catch_up
from workers.claims import NoCluster, RoomClaims
from workers.held_rooms import HeldRooms
from workers.intake import Intake
from workers.live import LiveTake
from workers.recovery import Recovery
from workers.speaker import PcmSpeaker, Speaker, VoiceSpeaker
from workers.stage import Stage
from workers.stages import IngestSettings, Stages
from workers.take_clock import Clocks, block_ns, real_samples
from workers.take_keeper import TakeKeeper
from workers.ticker import CATCH_UP_NS, STALLED_NS, ticks
from workers.voice_source import VoiceSource
from workers.wishes import treatment, wishes

__all__ = ["ANYBODY", "Ingest", "IngestSettings"]

log = structlog.get_logger()

ANYBODY: Final = Grant("admin")
"""Who asks on a server where everything is open."""


class Ingest:
    """Connections in, blocks on the bus out. One event loop; `start` it, then let speakers connect.

    Among other ingests, `claims` says which rooms are this one's.
    """

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        hub: BusHub,
        rooms: RoomStore,
        keeper: TakeKeeper,
        settings: IngestSettings,
        metrics: Metrics,
        clocks: Clocks | None = None,
        *,
        claims: RoomClaims | None = None,
    ) -> None:
        self.metrics = metrics
        self._hub = hub
        self._rooms = rooms
        self._keeper = keeper
        self._settings = settings
        self._clocks = clocks or Clocks()
        self._claims = claims = claims or NoCluster()
        self._stages = Stages(hub, keeper, settings, metrics, self._clocks, claims, record_of=rooms.known)
        idle_samples = int(settings.idle_timeout * SAMPLE_RATE)
        recovery = Recovery(hub, keeper, claims, self._clocks, idle_samples)
        self._held_rooms = HeldRooms(hub, self._stages, keeper, claims, recovery)
        idle_ns = int(settings.idle_timeout * 1_000_000_000)
        self._adoption = Adoption(claims, self._held_rooms, recovery, keeper, idle_ns)
        self._tasks: list[asyncio.Task[None]] = []
        self._ticked_ns = self._clocks.monotonic_ns()
        self._closing = False

    @property
    def degraded(self) -> str | None:
        """What does not work although live audio does, in one line."""
        return self._keeper.degraded or self._claims.degraded

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """Its tasks: none of them ever returns by itself."""
        return tuple(self._tasks)

    async def start(self) -> None:
        """Go on with the takes that were live when the last process stopped, and begin to tick.

        Takes of rooms that no bus says whose they are wait for it; nobody comes into these rooms before.
        """
        await self._held_rooms.start()
        self._tasks = [
            asyncio.create_task(self._run(), name="ingest ticker"),
            asyncio.create_task(self._held_rooms.run(), name="ingest rooms"),
            asyncio.create_task(self._adoption.run(self._clocks.monotonic_ns), name="ingest adoption"),
            asyncio.create_task(self._keeper.forget_published(self._hub), name="ingest published"),
        ]

    async def stop(self) -> None:
        """Let every speaker go. The takes are not ended: the next process or another ingest goes on.

        The rooms stay claimed until whoever made the claims releases them, when the bus has all of the sound.
        """
        self._closing = True
        for stage in self._stages:
            stage.close(OverCapacity("this server goes down: connect again in a moment"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._held_rooms.stop()
        await self._keeper.close()

    async def connect(
        self,
        room: str,
        name: str | None,
        channels: int,
        *,
        grant: Grant = ANYBODY,
        sound: RoomSound | None = None,
        live: bool = False,
    ) -> PcmSpeaker:
        """Let a sender of PCM in, before anything of it is read; `live` is a microphone, not a programme.

        Another connection under the same name is replaced: it is the same person on another network.
        Raises Forbidden for who was removed from the take, OverCapacity, LivesElsewhere where another ingest
        owns the room, BusUnavailable where nobody can say who does.
        """
        stage, record = await self._admit(room, name, grant)
        source = Intake(channels, self._clocks.block, stage.settings.channels)
        strip = self._strip(stage, treatment(record.sound, sound, microphone=live))
        speaker = PcmSpeaker(room, name, "ws" if live else "pcm", grant, source, strip)
        speaker.heard_ns = self._clocks.monotonic_ns()
        self._stages.enter(stage, speaker)
        return speaker

    async def connect_voice(self, room: str, name: str | None, *, grant: Grant = ANYBODY) -> VoiceSpeaker:
        """Let a voice in, as `connect` does; one without a name is called Guest 1, or 2.

        The voice's timeout begins with its first sign of life, `hear` or `alive`: until then somebody else
        watches over the connection's making.
        """
        stage, record = await self._admit(room, name, grant)
        source = VoiceSource(stage.settings.channels, self._clocks.block)
        strip = self._strip(stage, treatment(record.sound, None, microphone=True))
        speaker = VoiceSpeaker(room, name or stage.guest_name(), "whip", grant, source, strip)
        self._stages.enter(stage, speaker)
        return speaker

    def feed(self, speaker: PcmSpeaker, data: bytes) -> None:
        """Bytes from a connection. The take begins with the first of them once the start buffer is full."""
        speaker.heard_ns = now_ns = self._clocks.monotonic_ns()
        speaker.feed(data, real_samples(now_ns))
        self._stages.begin_if_ready(speaker, now_ns)

    def hear(self, speaker: VoiceSpeaker, packet: VoicePacket) -> None:
        """A packet of a voice. One that sends nothing but garbage is closed, and the take goes on."""
        speaker.heard_ns = now_ns = self._clocks.monotonic_ns()
        try:
            speaker.source.push(packet, real_samples(now_ns))
        except BadOpus as error:
            self._stages.headcount.drop(speaker, "garbage", error)
        else:
            self._stages.begin_if_ready(speaker, now_ns)

    def alive(self, speaker: VoiceSpeaker) -> None:
        """The other end is there, although it may say nothing: DTX and a muted track send no packets."""
        speaker.heard_ns = self._clocks.monotonic_ns()

    def finish(self, speaker: PcmSpeaker) -> None:
        """The connection has sent all it had; what was sent will be played."""
        speaker.source.finish()
        self._stages.begin_if_ready(speaker, self._clocks.monotonic_ns())

    def leave(self, speaker: Speaker[Any]) -> None:
        """The connection is gone; said exactly once for each that came in."""
        self._stages.leave(speaker)

    def drop(self, speaker: Speaker[Any], reason: str, error: LongwaveError) -> None:
        """Let a speaker go who sends what cannot be taken; `error` is what they are told."""
        self._stages.headcount.drop(speaker, reason, error)

    def end(self, room: str) -> tuple[TakeKey, int]:
        """End the room's take where it is and close its connections; the take and its samples.

        Raises UnknownRoom where no take is live, as do all that a host may do to one; BusUnavailable where
        nobody could say that it lives on elsewhere.
        """
        stage = self._stages.live(room)
        if not self._claims.in_touch:
            raise BusUnavailable("no redis answers: the take can be ended when one does")
        return self._stages.end(stage, stage.live)

    async def secure_end(self, key: TakeKey) -> None:
        """Return when no crash can bring back a take that was ended, or the disk does not say so in time.

        Raises BusUnavailable where it may live on elsewhere.
        """
        await self._keeper.secure_end(key)
        await self._held_rooms.confirm_end(key)

    def mute(self, room: str, name: str) -> None:
        """Nobody hears `name` in this take, from here on."""
        self._stages.live(room).mute(name)

    def unmute(self, room: str, name: str) -> None:
        """`name` is heard again."""
        self._stages.live(room).unmute(name)

    def remove(self, room: str, name: str) -> None:
        """Close the connection of `name`; neither the name nor its token comes back in this take."""
        self._stages.live(room).remove(name)

    def chapter(self, room: str, title: str) -> TakeEvent:
        """A chapter called `title` begins at the current instant."""
        return self._stages.live(room).chapter(title)

    def live(self, room: str) -> LiveTake | None:
        """The take that lives in `room`, if any, and who is in it."""
        stage = self._stages.get(room)
        return None if stage is None or stage.owner is None else stage.owner.live()

    def owns(self, room: str) -> bool:
        """Whether `room` is this ingest's at this moment."""
        return self._claims.owns(room)

    async def owner_of(self, room: str) -> str | None:
        """The URL of another ingest that owns `room`; None where none does. Raises BusUnavailable."""
        return await self._claims.owner_of(room)

    async def attend(self, room: str) -> None:
        """Go on with the take of `room` if one lives whose owner is gone: somebody has a wish for it.

        Raises BusUnavailable, OverCapacity, and LivesElsewhere where another ingest was faster.
        """
        if await self._claims.left(room) and not self._closing:
            self._stages.check_place(room)
            await self._held_rooms.hold(room)

    def tick(self, now_ns: int) -> None:
        """Write what is due in every room; see who fell silent and which takes are over."""
        # First, or what another ingest has taken over would grow once more.
        self._held_rooms.sweep(now_ns)
        self._stages.tick(now_ns)
        self._ticked_ns = now_ns

    async def _admit(self, room: str, name: str | None, grant: Grant) -> tuple[Stage, RoomRecord]:
        """The room for somebody who wants to come in, if they may, and what its host wants."""
        self._stages.check_place(room)
        record = await wishes(self._rooms, room, unknown=self._settings.unknown)
        if not self._closing:
            await self._held_rooms.hold(room)
        if self._closing:
            raise OverCapacity("this server goes down: connect again in a moment")
        # Nothing is waited for from here on, until the speaker is in: an empty room is not held for long.
        return self._stages.admit(room, record.take_settings, name, grant), record

    def _strip(self, stage: Stage, sound: Sound) -> Strip:
        return Strip(stage.settings.channels, sound, self._clocks.block)

    async def _run(self) -> None:
        async for now_ns, late_ns in ticks(self._clocks.monotonic_ns, block_ns(self._clocks.block)):
            if STALLED_NS < late_ns < CATCH_UP_NS:
                await self._catch_up(now_ns)
            self.tick(self._clocks.monotonic_ns())

    async def _catch_up(self, now_ns: int) -> None:
        log.debug("the process stood still", milliseconds=(now_ns - self._ticked_ns) // 1_000_000)

        def eat(stage: Stage, unread: Speakers) -> Speakers:
            return self._stages.guarded(partial(_eat, unread), stage, now_ns) or ()

        await catch_up([stage for stage in self._stages if stage.owner is not None], eat)


def _eat(unread: Speakers, stage: Stage, now_ns: int) -> Speakers:
    """Write what is here; those whose connections should be read once more."""
    return () if stage.owner is None else stage.owner.tick(now_ns, unread)
