"""Podcast feeds of replays that lie in a storage: what is read of it, and how edits come through."""

from __future__ import annotations

import hashlib
from pathlib import Path

import feedparser
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.take import TakeKey
from origin.http_feed import FeedHandlers
from origin.replays import Replays
from origin.service import Origin, OriginLimits
from storage.commit import TakeCommit
from storage.derived import Derived
from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from storage.entry import ReplayEntry
from storage.meta import Chapter, TakeMeta
from storage.names import DERIVED, META, RECORD, entry_name, take_object
from storage.objects import Content
from storage.pooled import Pooled
from storage.take_record import TakeRecord
from tests.feeds import ROOM, SECOND
from tests.takes import EPOCH_US, header

CHAPTERS = (Chapter(0, "Welcome"), Chapter(60 * SECOND, "Questions"))


class Counting(DiskObjects):
    """A storage that knows what was read of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    def read(self, name: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Content:
        self.reads.append(name)
        return super().read(name, start, stop, etag=etag)


def keep(objects: DiskObjects, key: TakeKey, meta: TakeMeta) -> None:
    """A replay of ten minutes as a finisher leaves it, without its media."""
    samples = 600 * SECOND
    story = TakeRecord(key, header(), samples, (), (), None, ())
    record = to_bytes(TakeCommit(story, (), {}).to_json())
    of_meta, of_record = (hashlib.sha256(data).hexdigest() for data in (to_bytes(meta.to_json()), record))
    derived = to_bytes(Derived(of_meta, of_record, {}).to_json())
    title, chapters = meta.shown_title(story), len(meta.shown_chapters(story))
    entry = ReplayEntry(
        key=key,
        title=title,
        published=meta.published,
        epoch_us=EPOCH_US,
        samples=samples,
        speakers=("Ada",),
        chapters=chapters,
        size=5_000_000,
        sha256="a" * 64,
        derived=hashlib.sha256(derived).hexdigest(),
    )
    objects.write(take_object(key, RECORD), [record])
    objects.write(take_object(key, META), [to_bytes(meta.to_json())])
    objects.write(take_object(key, DERIVED), [derived])
    objects.write(entry_name(key), [to_bytes(entry.to_json())])


async def _nobody_made_it(_: str) -> None:
    """No room has a record."""


async def test_a_storage_is_read_once_for_each_version_of_a_replay(tmp_path: Path) -> None:
    objects = Counting(tmp_path)
    shown, hidden = (TakeKey(ROOM, f"20260101T00000{number}Z-abc234") for number in range(2))
    keep(objects, shown, TakeMeta("Budget", CHAPTERS))
    keep(objects, hidden, TakeMeta("Rehearsal", CHAPTERS, published=False))
    pooled = Pooled()
    replays = Replays(objects, pooled, fresh_seconds=3600)
    app = web.Application()
    here = Origin(OriginLimits(), Metrics(CollectorRegistry()))
    FeedHandlers(here, replays, _nobody_made_it).add_routes(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:

            async def items() -> list[tuple[str, str]]:
                async with session.get(f"/feeds/{ROOM}.xml") as answer:
                    entries = feedparser.parse(await answer.read()).entries
                return [(item.title, item.description) for item in entries]

            said = "<p>With Ada</p><ul><li>0:00 Welcome</li><li>1:00 Questions</li></ul>"
            assert await items() == [("Budget", said)]
            first = len(objects.reads)
            for _ in range(30):
                await items()
            assert len(objects.reads) == first
            assert take_object(hidden, RECORD) not in objects.reads

            keep(objects, shown, TakeMeta("Budget 2026", (Chapter(0, "All of it"),)))
            replays.forget(shown)
            assert await items() == [("Budget 2026", "<p>With Ada</p><ul><li>0:00 All of it</li></ul>")]

            keep(objects, shown, TakeMeta("Budget 2026", (), published=False))
            keep(objects, hidden, TakeMeta("Rehearsal", ()))
            replays.forget(shown)
            assert await items() == [("Rehearsal", "<p>With Ada</p>")]
    finally:
        await runner.cleanup()
        await replays.close()
        pooled.close()
