"""The speaking side of a process: connections, takes and their mix, onto a bus in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.grid import BLOCK
from storage.stories import Stories
from workers.claims import NoCluster
from workers.ingest import Ingest, IngestSettings
from workers.storyteller import Storyteller
from workers.take_clock import Clocks
from workers.take_keeper import TakeKeeper
from workers.take_store import TakeStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from longwave.house import House
    from longwave.settings import IngestRoleSettings
    from workers.claims import RoomClaims
    from workers.memory_bus import MemoryHub

# 5 ms: a part leaves with the block that completes it, which 20 ms ones keep waiting (docs/decisions/0006).
_BLOCK: Final = BLOCK // 4


@dataclass(frozen=True, slots=True)
class Speaking:
    """The ingest of this process, and who keeps its live takes."""

    ingest: Ingest
    keeper: TakeKeeper


def speaking_of(
    settings: IngestRoleSettings,
    house: House,
    hub: MemoryHub,
    encoder: Callable[[], str],
    *,
    claims: RoomClaims | None = None,
    remembered: Callable[[], bool] = lambda: True,
) -> Speaking:
    """An ingest onto `hub`, not started yet; `encoder` gives the fingerprint for new takes.

    `remembered` says whether origins have what was published on their disks, as far as this process knows.
    """
    store = TakeStore(settings.data_dir / "takes")
    storyteller = Storyteller(store, Stories(house.kept.objects), house.rooms)
    keeper = TakeKeeper(store, storyteller, house.metrics, remembered=remembered)
    limits = IngestSettings(
        encoder=encoder,
        idle_timeout=settings.idle_timeout,
        sender_timeout=settings.sender_timeout,
        max_rooms=settings.max_rooms,
        max_speakers=settings.max_speakers,
        private_rooms=settings.token_keys() is not None,
    )
    ingest = Ingest(
        hub, house.rooms, keeper, limits, house.metrics, Clocks(block=_BLOCK), claims=claims or NoCluster()
    )
    return Speaking(ingest, keeper)


@asynccontextmanager
async def started(ingest: Ingest) -> AsyncIterator[None]:
    """Live takes of the last process go on; in the end every speaker is let go, and no take is ended."""
    await ingest.start()
    try:
        yield
    finally:
        await ingest.stop()
