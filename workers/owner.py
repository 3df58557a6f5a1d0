"""The owner of a take: block after block on the bus, sound or silence, and that is final."""

from __future__ import annotations

from contracts.take import TakeEvent
from pipeline.grid import SAMPLE_RATE
from workers.bus import TakeBus
from workers.speaker import Speaker
from workers.take_clock import TakeClock


class TakeOwner:
    """Writes `bus` by `clock`. At most one speaker at a time, until rooms can mix.

    `speaker` is the connection that is there. One that was replaced or cut off is heard to the end of what
    it had sent, unless the next one is ready to speak before.
    """

    def __init__(self, bus: TakeBus, clock: TakeClock, now_ns: int, *, named: bool = False) -> None:
        self.bus = bus
        self.clock = clock
        self.speaker: Speaker | None = None
        self.alone_ns = now_ns
        self._leaving: Speaker | None = None
        self._block = clock.block
        self._channels = bus.header.settings.channels
        # Names that were said before a restart are not known here, only that there were some.
        self._names: tuple[str, ...] | None = None if named else ()
        self._speaking: tuple[str, ...] = ()
        self._say_from = 0
        self._stood_until = clock.blocks_over(now_ns)
        self.sound = 0
        self.silence = 0

    @property
    def named(self) -> bool:
        """Listeners are being told that somebody speaks."""
        return self._names != ()

    def join(self, speaker: Speaker) -> None:
        """`speaker` is heard as soon as its buffer is full."""
        if self.speaker is not None:
            self._leaving = self.speaker
            self._leaving.intake.finish()
        self.speaker = speaker
        speaker.take = self.bus.key.take

    def leave(self, speaker: Speaker, now_ns: int) -> None:
        """The connection is gone."""
        if speaker is self.speaker:
            speaker.intake.finish()
            self.speaker, self._leaving = None, speaker
            self.alone_ns = now_ns

    def tick(self, now_ns: int, *, patient: bool = False) -> bool:
        """Write every block that is over by `now_ns`.

        With `patient`, stop before a block that is not whole here yet; True says that it did.
        """
        over = self.clock.blocks_over(now_ns)
        block = self.bus.top // self._block
        if over <= block:
            self._stand_still(over)
            return False
        while block < over:
            source = self._source()
            if source is None:
                self._say(())
                self._be_silent(over - block)
                break
            if patient and not source.intake.prompt:
                return True
            self._write(source)
            block += 1
        self._stood_until = over
        return False

    def end(self) -> int:
        """Finish the take where it is; the number of its samples."""
        self.bus.end(self.bus.top)
        return self.bus.top

    def _source(self) -> Speaker | None:
        """Who is heard in the next block."""
        leaving = self._leaving
        if leaving is not None:
            if not leaving.intake.drained and not (self.speaker and self.speaker.intake.ready):
                return leaving
            self._leaving = None
        return self.speaker

    def _write(self, source: Speaker) -> None:
        pcm = source.pull(self._channels)
        if pcm is None:
            self._say(self._speaking)
            self._be_silent(1)
        else:
            self._say(() if source.name is None else (source.name,))
            self.bus.append(self.bus.top, pcm)
            self.sound += self._block
        source.stir()

    def _be_silent(self, blocks: int) -> None:
        self.bus.append_silence(self.bus.top, blocks * self._block)
        self.silence += blocks * self._block

    def _stand_still(self, over: int) -> None:
        """A resumed take begins above every number that was reserved; its clock gets there in seconds."""
        source = self._source()
        if source is not None:
            for _ in range(over - self._stood_until):
                source.intake.discard()
            source.stir()
        self._stood_until = max(over, self._stood_until)

    def _say(self, names: tuple[str, ...]) -> None:
        """Put an event on the bus if others speak from here on; it precedes the sound that it is about.

        Who speaks stays said for at least a second: a sender that breaks off and comes back changes nothing.
        """
        self._speaking, top = names, self.bus.top
        if names == self._names or top < self._say_from:
            return
        self.bus.append_event(TakeEvent(top, 0, "speakers", speakers=names))
        self._names = names
        self._say_from = top + SAMPLE_RATE
