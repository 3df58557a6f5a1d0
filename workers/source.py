"""Where a speaker's sound comes from: a buffer that is filled by a connection and emptied by the owner."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SoundBlock = NDArray[np.int16] | NDArray[np.float32]
"""(block, channels): int16 as PCM was sent, or float32 with full scale 1.0 as a voice was decoded.

A shorter block says that the sound ends inside it."""


class Source(Protocol):
    """Sound that arrives when it does and leaves block by block. Time is counted in samples of real time."""

    @property
    def received(self) -> int:
        """Grows with whatever arrives: who looks twice sees whether there was anything to read."""

    @property
    def ready(self) -> bool:
        """The next block has sound in it."""

    @property
    def prompt(self) -> bool:
        """The next block is here: waiting for more of the sender would not change it."""

    @property
    def finished(self) -> bool:
        """Nothing more will arrive."""

    @property
    def drained(self) -> bool:
        """Everything that arrived has been pulled, and nothing more will."""

    @property
    def muted(self) -> bool:
        """The sender says that it is silent on purpose."""

    def pull(self, now: int, /) -> SoundBlock | None:
        """The block that is due at `now`, or None for silence. Called once for every block of the take."""

    def run(self, most: int) -> NDArray[np.int16] | None:
        """The next whole blocks in a row, `most` at most, in place of as many pulls.

        None where each has to be looked at: pull the next one.
        """

    def discard(self, now: int, /) -> None:
        """The block that is due at `now` is for nobody: the take's clock stands still."""

    def finish(self) -> None:
        """The connection has ended: what is here is played, and nothing more is waited for."""

    def counts(self) -> dict[str, int]:
        """What became of what was sent, for the host, in samples and packets."""
