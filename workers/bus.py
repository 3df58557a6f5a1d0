"""The bus: what lies between the owner of a take and everyone who reads its sound.

A bus knows sample indexes and nothing else of time. The owner appends in order; a sample once on the bus is
final. Readers ask for the samples they need and wait for those that are not there yet. Nobody is told a thing
by callback, and a slow reader costs the owner nothing: it finds `first` above its place, and declares what is
below lost.

Appending never waits. A bus that keeps its samples elsewhere writes to memory first and replicates behind,
because live audio goes on while a dependency is slow or gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from contracts.errors import LongwaveError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contracts.take import TakeEvent, TakeHeader, TakeKey


class BusRefused(LongwaveError):
    """An append that leaves a hole, or goes beyond the end. `top` is where the next one starts."""

    def __init__(self, message: str, top: int) -> None:
        super().__init__(message)
        self.top = top


class SamplesLost(LongwaveError):
    """A read of samples that the bus has dropped for good. `first` is the oldest sample it still holds."""

    def __init__(self, message: str, first: int) -> None:
        super().__init__(message)
        self.first = first


class TakeBus(Protocol):
    """The sound of one take by sample index: [`first`, `top`), the oldest dropped as it grows."""

    @property
    def key(self) -> TakeKey:
        """Room and take."""

    @property
    def header(self) -> TakeHeader:
        """Epoch, settings and encoder fingerprint, frozen since the take began."""

    @property
    def first(self) -> int:
        """The oldest sample held; what is below it and was not read is lost for good."""

    @property
    def top(self) -> int:
        """The sample that the next append starts at."""

    @property
    def ended(self) -> int | None:
        """The number of samples in the finished take (always equal to `top`), `None` while it lives."""

    @property
    def wanted(self) -> int | None:
        """The sample that a reader waits for first, None where nobody is known to wait."""

    def append(self, start: int, pcm: bytes) -> None:
        """Add s16le interleaved samples that begin at sample `start`.

        What is there already stays as it is, so doing it twice changes nothing. Raises `BusRefused` for a
        `start` above `top`, and for samples beyond the end.
        """

    def append_silence(self, start: int, count: int) -> None:
        """Add `count` samples of silence at `start`: like `append`, at no cost in memory."""

    def append_event(self, event: TakeEvent) -> None:
        """Add an event. Its sample is at most `top`: put it before the sound that follows it."""

    def end(self, sample: int) -> None:
        """Finish the take at `sample`, which is `top`, once or more often. Else `BusRefused`."""

    def read(self, start: int, stop: int) -> NDArray[np.int16]:
        """Give a copy of samples [start, stop) as (stop - start, channels) int16.

        Raises `SamplesLost` below `first` and `ValueError` above `top`: wait first.
        """

    def events_from(self, cursor: int) -> tuple[TakeEvent, ...]:
        """Give every event after the first `cursor` ones; the next cursor is `cursor` + their number."""

    async def wait(self, sample: int) -> None:
        """Return once `top` >= `sample` or the take has ended. Cancelling it is always safe."""


class BusTakes(Protocol):
    """The takes that are to be encoded here: all of this process' bus, or those that a worker carries."""

    @property
    def version(self) -> int:
        """Grows by one with every take that comes, ends or goes."""

    def live(self) -> tuple[TakeBus, ...]:
        """Give every take that came and did not go, ended ones included, oldest first."""

    def close(self, key: TakeKey) -> None:
        """Forget a take: said by whoever has published it to its end. A take that is not there is fine."""

    async def changed(self, seen: int) -> int:
        """The version, as soon as it is not `seen`: `seen = await takes.changed(seen)`, from -1 on."""


class BusHub(BusTakes, Protocol):
    """The takes on the bus: those that live, and those that ended and are not published to their end yet."""

    def open(self, key: TakeKey, header: TakeHeader, first: int = 0) -> TakeBus:
        """Add a take whose first sample will be `first`: 0, or where a restarted owner goes on.

        Opening a take that is there gives the same bus; with another header it raises `BusRefused`.
        """
