"""What a process has of the storage: replays for listeners and hosts, and the feeds made of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from origin.http_feed import FeedHandlers, LookUp
from origin.replays import Replays
from storage.pooled import Pooled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from longwave.settings import OriginSettings, StorageSettings
    from origin.service import Origin
    from storage.objects import Objects

# How old may be what an origin knows of a replay. Each look into S3 costs a request.
_FRESH_ON_DISK: Final = 1.0
_FRESH_IN_S3: Final = 5.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A storage, with threads for readers, who are many, and for hosts, who may take long."""

    objects: Objects
    readers: Pooled
    hosts: Pooled


@asynccontextmanager
async def opened_storage(settings: StorageSettings) -> AsyncIterator[Kept]:
    """The storage of the settings, closed in the end. Raises UsageError, StorageUnavailable."""
    objects = await asyncio.to_thread(settings.objects)
    kept = Kept(objects, Pooled(), Pooled(threads=4))
    try:
        yield kept
    finally:
        kept.readers.close()
        kept.hosts.close()
        await asyncio.to_thread(objects.close)


def replays_of(kept: Kept, here: Origin, settings: OriginSettings) -> Replays:
    """The replays that this process serves."""
    return Replays(
        kept.objects,
        kept.readers,
        fresh_seconds=_FRESH_IN_S3 if settings.shares_storage else _FRESH_ON_DISK,
        redirect=settings.replay_redirect,
        live=here.is_live,
    )


def feeds_of(here: Origin, replays: Replays, settings: OriginSettings, look_up: LookUp) -> FeedHandlers:
    """The podcast feeds of this process; `look_up` gives what rooms say of their podcasts."""
    public_url = None if settings.public_url is None else str(settings.public_url)
    return FeedHandlers(here, replays, look_up, public_url)
