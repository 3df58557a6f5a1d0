"""One sender's buffer: what arrives in bursts goes out block by block. Pure; time is an argument.

::

              200 ms are there, or the body has ended
    BUFFERING ───────────────────────────────────────▶ PLAYING
        ▲                                                 │
        └───────────── nothing left: silence ─────────────┘

There are two kinds of sender. Who was ever far ahead of time is *fast* (a file): it is paced by not being
read, and nothing of it is dropped. Everybody else is *live*: what it sends after a stall is late by the
silence that was played meanwhile (its *debt*), and as much is dropped, so that sound and time fit together
again.
A burst at the start (`ffmpeg -re` sends half a second) is not late: there is no debt to pay.
A live sender whose clock is not ours is read a little faster or slower (workers/drift.py), so that it neither
fills the buffer nor empties it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from pipeline import pcm as arrays
from pipeline.grid import BLOCK, SAMPLE_RATE
from pipeline.pcm import Pcm
from workers.drift import DriftCorrector

START_BUFFER: Final = SAMPLE_RATE // 5
"""Samples that are there before the first one is played; late sound is dropped back to as many."""
READ_AHEAD: Final = SAMPLE_RATE
"""Samples held at which a sender is not read. A live one in debt that holds them is late beyond doubt."""
FAST_LEAD: Final = 3 * SAMPLE_RATE // 4
"""Samples ahead of real time that only a file is: `ffmpeg -re` is half a second ahead, a microphone never."""
LATE: Final = 2 * START_BUFFER
"""Late is who always holds more than this, for a second. A sender of large chunks runs low before each."""
_FORGIVEN: Final = 10
"""Such seconds without lateness after which a debt is forgiven: it was a pause, not a delay."""


class _Phase(Enum):
    BUFFERING = auto()
    PLAYING = auto()


class Intake:
    """The buffer of a sender of `channels` interleaved s16 channels, played `block` samples at a time.

    What is played has `out_channels`, by default as many as are sent.
    `taken`, `silence` and `dropped` count samples: played, missing while it should have spoken, thrown away.
    """

    def __init__(self, channels: int, block: int = BLOCK, out_channels: int | None = None) -> None:
        self.channels = channels
        self._out_channels = out_channels or channels
        self._block = block
        self._blocks_a_look = SAMPLE_RATE // block
        self.fast = False
        self.finished = False
        self.muted = False
        self.taken = 0
        self.silence = 0
        self.dropped = 0
        self._bytes_a_sample = 2 * channels
        self._buffer = bytearray()
        self._drift = DriftCorrector(channels)
        self._phase = _Phase.BUFFERING
        self._debt = 0
        self._spoke = False
        self._sent_until: int | None = None
        self._looked = 0
        self._lowest = READ_AHEAD

    @property
    def held(self) -> int:
        """Samples that arrived and were not played yet."""
        return len(self._buffer) // self._bytes_a_sample

    @property
    def received(self) -> int:
        """Samples that arrived at all."""
        return self.taken + self.dropped + self.held

    @property
    def room(self) -> int:
        """Samples to read before the sender is far enough ahead; read nothing while it is not positive."""
        return READ_AHEAD - self.held

    @property
    def ready(self) -> bool:
        """The next block has sound in it: a whole block of it, until the sender has no more to say."""
        playing = self._phase is _Phase.PLAYING
        if self.held >= (self._drift.wanted(self._block) if playing else START_BUFFER):
            return True
        return bool(self._buffer) and (self.finished or self.muted)

    @property
    def prompt(self) -> bool:
        """The next block is here: waiting for more of the sender would not change it."""
        return self.finished or self.muted or self.ready

    @property
    def drained(self) -> bool:
        """Everything that was sent has been played."""
        return self.finished and not self._buffer

    def push(self, pcm: bytes, now: int) -> None:
        """Add whole samples that arrived at `now`, counted in samples of real time."""
        count = len(pcm) // self._bytes_a_sample
        if self.muted:
            self.dropped += count
            return
        self._buffer += pcm
        self._sent_until = count + (now if self._sent_until is None else self._sent_until)
        lead = self._sent_until - now
        if lead - self._drift.made_up >= FAST_LEAD:
            self.fast = True
        if not self.fast:
            self._drift.heard(lead, now)
        if self._debt and not self.fast and self.held >= READ_AHEAD:
            self._drop_late(self.held)

    def finish(self) -> None:
        """The body has ended: what is held is played to its last sample."""
        self.finished = True

    def mute(self) -> None:
        """Silence is wanted from here on; what was said before is still played."""
        self.muted = True

    def unmute(self) -> None:
        """Sound is expected again."""
        self.muted = False

    def pull(self, _now: int = 0, /) -> Pcm | None:
        """The block that is due now: (block, out_channels) samples, or None for silence.

        The last one of a sender that is done may be shorter. Of one that breaks off, what is less than a
        block is kept for when it comes back.
        """
        if not self.ready:
            self._run_dry()
            return None
        self._phase = _Phase.PLAYING
        self._spoke = True
        self._look()
        size = self._drift.wanted(self._block) * self._bytes_a_sample
        block = self._buffer[:size]
        del self._buffer[:size]
        self.taken += len(block) // self._bytes_a_sample
        sound = self._drift.read(arrays.from_bytes(block, self.channels), self._block)
        return arrays.remix(sound, self._out_channels)

    def run(self, most: int) -> Pcm | None:
        """The next whole blocks, `most` at most: (n, out_channels) samples, as often `pull` would give them.

        None where a block is not whole here, or has to be looked at.
        """
        blocks = min(most, self.held // self._block)
        if self._phase is not _Phase.PLAYING or not blocks or not self._drift.idle:
            return None
        self._look(blocks)
        size = blocks * self._block * self._bytes_a_sample
        run = self._buffer[:size]
        del self._buffer[:size]
        self.taken += blocks * self._block
        return arrays.remix(arrays.from_bytes(run, self.channels), self._out_channels)

    def discard(self, _now: int = 0, /) -> None:
        """The block that would be due now is played to nobody: the take's clock stands still.

        Only a live sender loses it; a fast one waits.
        """
        if not self.fast and self.ready:
            before = self.taken
            self.pull()
            self.dropped += self.taken - before
            self.taken = before

    def counts(self) -> dict[str, int]:
        """What became of what was sent, in samples."""
        return {"samples": self.taken, "silence": self.silence, "dropped": self.dropped}

    def _run_dry(self) -> None:
        """Silence where the sender should have spoken; one that is muted or has finished owes nothing."""
        self._phase = _Phase.BUFFERING
        self._drift.restart()
        self._reset_look()
        if self._spoke and not self.muted and not self.finished:
            self.silence += self._block
            self._debt += self._block

    def _look(self, blocks: int = 1) -> None:
        """Watch the lowest level. What was always held for a second is more than the sender needs: late."""
        self._lowest = min(self._lowest, self.held)
        seconds = self._looked // self._blocks_a_look
        self._looked += blocks
        if self._looked // self._blocks_a_look == seconds:
            return
        if self._debt and not self.fast and self._lowest > LATE:
            self._drop_late(self._lowest)
        elif self._looked >= _FORGIVEN * self._blocks_a_look:
            self._debt = 0
            self._looked = 0
        self._lowest = READ_AHEAD + self.held

    def _reset_look(self) -> None:
        self._looked = 0
        self._lowest = READ_AHEAD + self.held

    def _drop_late(self, level: int) -> None:
        count = min(self._debt, level - START_BUFFER)
        del self._buffer[: count * self._bytes_a_sample]
        self._debt -= count
        self.dropped += count
        self._drift.restart()
        self._reset_look()
