"""The owner of a take: block after block on the bus, sound or silence, and that is final."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from contracts.errors import UnknownRoom
from contracts.take import TakeEvent
from pipeline import pcm
from pipeline.grid import BLOCK
from pipeline.mix.loudness import LoudnessBin
from pipeline.mix.mixer import Mixer
from workers.bus import TakeBus
from workers.guest_list import NO_ORDERS, GuestList, HostOrders
from workers.live import LiveTake
from workers.seat import Seat
from workers.seats import Seats
from workers.source import SoundBlock
from workers.speaker import Speaker
from workers.story import Story, connected
from workers.take_clock import TakeClock, real_samples


@dataclass(frozen=True, slots=True)
class Before:
    """A take up to a restart, or as another ingest left it.

    `named`: listeners were told that somebody speaks. `events` had happened; `loudness` was measured.
    """

    named: bool = False
    orders: HostOrders = NO_ORDERS
    events: Collection[TakeEvent] = ()
    loudness: Iterable[LoudnessBin] = ()


class TakeOwner:
    """Mixes its speakers onto `bus` by `clock`.

    Sources are pulled one block ahead of the bus: the mixer takes in block k + 1 and gives out block k. So it
    knows what comes, and can lead a sound that breaks off to silence. A connection that was cut is heard to
    the end of what it had sent, unless the next one of the same name is ready before.

    `before` is what a take that goes on, after a restart or from another ingest, had until then.
    """

    def __init__(
        self,
        bus: TakeBus,
        clock: TakeClock,
        now_ns: int,
        before: Before | None = None,
    ) -> None:
        before = before or Before()
        self.bus = bus
        self.clock = clock
        self.alone_ns = now_ns
        self.guests = GuestList(before.orders)
        self.mixer = Mixer(bus.header.settings.channels, clock.block, resumed=bus.top > 0)
        self.mixer.loudness.resume(before.loudness)
        self.sound = 0
        self.silence = 0
        self._story = Story(bus, named=before.named, before=before.events)
        self._story.gone(connected(before.events))
        self._seats = Seats(bus, self._story)
        self.failed: list[tuple[Speaker[Any], Exception]] = []
        self._block = clock.block
        self._zero = real_samples(clock.zero_ns)
        # Sample 0 of a take is the first of its sound; later, what comes in waits behind the silence before.
        self._begun = bus.top > 0
        self._stood_until = clock.blocks_over(now_ns)
        self._flows = False

    @property
    def crowd(self) -> int:
        """Connections in the mix, with those that are gone and not yet played to their end."""
        return len(self._seats.taken)

    @property
    def named(self) -> bool:
        """Listeners are being told that somebody speaks."""
        return self._story.named

    def fresh_events(self) -> list[TakeEvent]:
        """What has happened since this was asked last."""
        return self._story.fresh()

    def live(self) -> LiveTake:
        """The take as it is at this moment, with whoever is in its mix."""
        return LiveTake(
            key=self.bus.key,
            epoch_us=self.bus.header.epoch_us,
            sample=self.bus.top,
            speakers=self._seats.live(),
            integrated=self.mixer.loudness.integrated,
            short_term=self.mixer.loudness.short_term,
        )

    def join(self, speaker: Speaker[Any]) -> None:
        """`speaker` is heard as soon as its source is ready, in place of who had its name until then."""
        speaker.take = self.bus.key.take
        speaker.strip.muted = self.guests.is_muted(speaker.name)
        self._seats.join(speaker)

    def leave(self, speaker: Speaker[Any]) -> None:
        """The connection is gone; what it had sent is played."""
        self._seats.leave(speaker)

    def tick(self, now_ns: int, patient: Collection[Speaker[Any]] = ()) -> list[Speaker[Any]]:
        """Write every block that is over by `now_ns`.

        Stops before a block that one of `patient` may still have a part in, and gives those it waits for.
        """
        over = self.clock.blocks_over(now_ns)
        block = self.bus.top // self._block
        if over <= block:
            self._stand_still(over)
            return []
        if self._may_wait(over):
            return []
        while block < over:
            if not self._seats.taken and self.mixer.idle:
                self._begun = True
                self._story.say()
                self._be_silent(over - block)
                break
            if patient and (waits := self._not_prompt(patient)):
                return waits
            flowed = self._flow(over - block)
            self._flows = flowed > 0
            if not flowed:
                self._write(block)
            block += flowed or 1
        self._stood_until = over
        return []

    def take_failed(self) -> list[tuple[Speaker[Any], Exception]]:
        """Speakers whose sound broke since this was asked last, and how; the take went on without them."""
        failed, self.failed = self.failed, []
        return failed

    def end(self) -> int:
        """Finish the take where it is; the number of its samples."""
        self._seats.depart_all()
        self.bus.end(self.bus.top)
        return self.bus.top

    def mute(self, name: str) -> None:
        """Nobody hears `name` from here on. Raises UnknownRoom where there is nobody of that name."""
        seats = self._known(name)
        if self.guests.mute(name):
            self._story.tell("mute", name)
        for seat in seats:
            seat.speaker.strip.muted = True

    def unmute(self, name: str) -> None:
        """`name` is heard again. Raises UnknownRoom where there is nobody of that name, nor was muted."""
        seats = self._known(name)
        if self.guests.unmute(name):
            self._story.tell("unmute", name)
        for seat in seats:
            seat.speaker.strip.muted = False

    def remove(self, name: str) -> None:
        """`name` is out of the mix at once, and does not come back. Raises UnknownRoom where nobody is."""
        seats = self._known(name)
        self.guests.remove(name, [seat.speaker.grant for seat in seats])
        for seat in seats:
            self._seats.depart(seat)

    def chapter(self, title: str) -> TakeEvent:
        """A chapter called `title` begins now."""
        return self._story.chapter(title)

    def _known(self, name: str) -> list[Seat]:
        seats = self._seats.named(name)
        if not seats and not self.guests.is_muted(name):
            raise UnknownRoom("nobody of this name is in the take")
        return seats

    def _not_prompt(self, patient: Collection[Speaker[Any]]) -> list[Speaker[Any]]:
        speakers = [seat.speaker for seat in self._seats.taken]
        return [speaker for speaker in speakers if speaker in patient and not speaker.source.prompt]

    def _may_wait(self, over: int) -> bool:
        """What flows is written in longer runs, as long as nobody waits for it."""
        due = over * self._block
        if not self._flows or due - self.bus.top >= BLOCK:
            return False
        wanted = self.bus.wanted
        return wanted is None or wanted > due

    def _flow(self, blocks: int) -> int:
        """Write up to `blocks` of a programme that is alone and stays as it is; how many they were."""
        if len(self._seats.taken) != 1 or not self._begun:
            return 0
        seat = self._seats.taken[0]
        if not self.mixer.flows(seat.strip):
            return 0
        run = seat.speaker.source.run(min(blocks, BLOCK // self._block))
        if run is None:
            return 0
        self.bus.append(self.bus.top, pcm.to_bytes(self.mixer.flow(seat.strip, run)))
        self.sound += len(run)
        seat.speaker.stir()
        self._seats.tell()
        return len(run) // self._block

    def _write(self, block: int) -> None:
        """Put `block` on the bus, and what happens after it."""
        if not self._begun:
            self._begun = True
            self._mix(0)
            self._seats.tell()
        mixed = self._mix(block + 1)
        if mixed is None:
            self._be_silent(1)
        else:
            self.bus.append(self.bus.top, pcm.to_bytes(mixed))
            self.sound += self._block
        self._seats.tell()

    def _mix(self, block: int) -> pcm.Pcm | None:
        """Take in `block`, give out the one before it."""
        due = self._zero + block * self._block
        for seat in self._seats.taken:
            if seat.strip.failed is not None:
                self._give_up(seat, seat.strip.failed)
        self._seats.hand_over()
        return self.mixer.mix([(seat.strip, self._pull(seat, due)) for seat in self._seats.taken])

    def _pull(self, seat: Seat, due: int) -> SoundBlock | None:
        speaker = seat.speaker
        seat.strip.finished = speaker.source.finished
        try:
            sound: SoundBlock | None = speaker.source.pull(due)
        except Exception as error:  # noqa: BLE001 - whatever one speaker's source does, the others are heard
            self._give_up(seat, error)
            sound = None
        speaker.held = sound is not None
        speaker.stir()
        return sound

    def _give_up(self, seat: Seat, error: Exception) -> None:
        """We failed at this speaker's sound: nobody else's is touched by it."""
        seat.broken = True
        self.failed.append((seat.speaker, error))

    def _be_silent(self, blocks: int) -> None:
        self.bus.append_silence(self.bus.top, blocks * self._block)
        self.silence += blocks * self._block

    def _stand_still(self, over: int) -> None:
        """A resumed take begins above every number that was reserved; its clock gets there in seconds."""
        for block in range(self._stood_until + 1, over + 1):
            for seat in self._seats.taken:
                seat.speaker.source.discard(self._zero + block * self._block)
                seat.speaker.stir()
        self._stood_until = max(over, self._stood_until)
