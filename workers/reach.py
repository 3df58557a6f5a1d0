"""Whether any origin takes what this worker makes: if none does, it leaves its takes to other workers.

A worker that reads the bus and reaches no origin would encode for nobody, and look well. It says that it
drains then, so that its takes fall to those that reach one. Where none does, all drain, which changes
nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from contracts.metrics import Metrics

logger = structlog.get_logger()

_LOOK_SECONDS: Final = 1.0
OUT_AFTER: Final = 4
"""So many looks without a sign. An origin that restarts is back sooner, or gone for all workers alike."""
HOLD: Final = 30
"""For so many looks after that an answer is no sign: what was put may be refused again. A put is, at once."""


class Puts(Protocol):
    """What is asked of a publisher."""

    @property
    def taken(self) -> int:
        """Grows whenever an origin takes something."""

    async def knock(self) -> bool:
        """Ask the origins for which nothing waits; whether one answers."""


class Reach:
    """Looks every second whether an origin takes what `publisher` puts, or answers where nothing waits.

    Looks are counted and not seconds: a process that was frozen knows nothing of the time meanwhile.
    """

    def __init__(self, publisher: Puts, metrics: Metrics) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._taken = 0
        self._quiet = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def out(self) -> bool:
        """Whether no origin is in reach."""
        return self._quiet >= OUT_AFTER

    @property
    def degraded(self) -> str | None:
        """What to say of it, or None."""
        return "origins: none takes anything from this worker; its takes fall to others" if self.out else None

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """The task that looks, which never returns by itself."""
        return () if self._task is None else (self._task,)

    def start(self) -> None:
        """Look from now on. Needs a running event loop."""
        self._task = asyncio.create_task(self._keep(), name="reach of origins")

    async def stop(self) -> None:
        """Look no more."""
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)

    async def look(self) -> None:
        """Look once."""
        was, before = self.out, self._taken
        self._taken = self._publisher.taken
        held = OUT_AFTER <= self._quiet < OUT_AFTER + HOLD
        if self._taken > before or (not held and await self._publisher.knock()):
            self._quiet = 0
        else:
            self._quiet += 1
        if self.out and not was:
            logger.error("no origin takes anything from this worker: its takes fall to others")
        elif was and not self.out:
            logger.info("origins are in reach again")

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                self._metrics.unexpected_errors.labels("reach").inc()
                logger.exception("unexpected error while origins were looked at")
