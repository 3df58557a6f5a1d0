"""A host's routes to replays over a storage on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import Grant, guard
from contracts.errors import NotFound
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeKey
from contracts.tokens import Keys, TokenGate
from storage.commit import Gap, TakeCommit
from storage.disk_objects import DiskObjects
from storage.documents import from_bytes, to_bytes
from storage.entry import ReplayEntry
from storage.meta import TakeMeta
from storage.names import META, RECORD, entry_name, open_name, take_object, take_prefix
from storage.pooled import Pooled
from storage.take_record import SpeakerRecord, TakeRecord
from tests.served import Served
from tests.takes import EPOCH_US, header
from workers.archive.finish import Finisher
from workers.http_replays import ReplayHandlers

FAR = 4_000_000_000
KEYS = Keys({"k": b"k" * 32})
SAMPLES = 480_000  # 10 s
DAY = "20260101T0000"
KEY = TakeKey("room", f"{DAY}00Z-aaaaaa")


def token(role: str, room: str | None = "room") -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS.sign(Grant(role, room), FAR)}"}  # type: ignore[arg-type]


def story(key: TakeKey, *, published: bool = True) -> TakeRecord:
    chapters = (TakeEvent(0, 0, "chapter", title="Welcome"), TakeEvent(48_000, 1, "chapter", title="News"))
    speakers = (SpeakerRecord("Ada"), SpeakerRecord("Bob"))
    return TakeRecord(key, header(), SAMPLES, speakers, chapters, None, chapters, "Friday", published)


class Desk:
    """Stands in for the finisher: the documents alone, without the media that is made from them."""

    def __init__(self, objects: DiskObjects) -> None:
        self.objects = objects
        self.edits = 0
        self.trouble: Exception | None = None

    def finish(self, key: TakeKey = KEY, *, published: bool = True, entry: bool = True) -> None:
        commit = TakeCommit(story(key, published=published), (Gap((0, 24_000), "the disk was full"),), {})
        self.objects.put_new(take_object(key, RECORD), to_bytes(commit.to_json()))
        if entry:
            self.objects.put_new(take_object(key, META), to_bytes(TakeMeta(published=published).to_json()))
            self._enter(key, TakeMeta(published=published))

    def mark(self, key: TakeKey) -> None:
        self.objects.put_new(open_name(key), to_bytes(header().to_json()))

    def edit(self, key: TakeKey, change: Callable[[TakeMeta], TakeMeta]) -> ReplayEntry:
        if self.trouble is not None:
            raise self.trouble
        self.edits += 1
        name = take_object(key, META)
        found = self.objects.read(name)
        meta = change(from_bytes(name, found.data, TakeMeta.from_json))
        self.objects.replace(name, to_bytes(meta.to_json()), found.info.etag)
        return self._enter(key, meta)

    def delete(self, key: TakeKey) -> None:
        if self.trouble is not None:
            raise self.trouble
        names = (entry_name(key), open_name(key), take_object(key, RECORD))
        if all(self.objects.head(name) is None for name in names):
            raise NotFound("no such replay")
        tombstone = TakeMeta(deleted_at="2026-01-01T00:00:00Z")
        name = take_object(key, META)
        self.objects.write(name, [to_bytes(tombstone.to_json())])
        others = [info.name for info in self.objects.list(take_prefix(key)) if info.name != name]
        self.objects.delete([entry_name(key), *others, open_name(key)])

    def meta(self, key: TakeKey = KEY) -> TakeMeta:
        name = take_object(key, META)
        return from_bytes(name, self.objects.read(name).data, TakeMeta.from_json)

    def _enter(self, key: TakeKey, meta: TakeMeta) -> ReplayEntry:
        told = story(key)
        entry = ReplayEntry(
            key,
            meta.shown_title(told),
            meta.published,
            EPOCH_US,
            SAMPLES,
            ("Ada", "Bob"),
            2,
            81_234,
            "a",
            "b",
        )
        self.objects.write(entry_name(key), [to_bytes(entry.to_json())])
        return entry


class Server(Served):
    """The host's routes over a storage on disk."""

    def __init__(self, data: Path, *, finisher: bool = False) -> None:
        metrics = Metrics(CollectorRegistry())
        self.objects = DiskObjects(data)
        self.desk = Desk(self.objects)
        self.live: set[TakeKey] = set()
        self.forgotten: list[TakeKey] = []
        self.changed: list[TakeKey] = []
        app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
        guard(app, TokenGate(keys=KEYS))
        self.pooled = Pooled(threads=2)
        ReplayHandlers(
            self.objects,
            self.pooled,
            Finisher(self.objects, None, clock=time.time) if finisher else self.desk,
            is_live=lambda key: key in self.live,
            forget=self.forgotten.append,
            changed=self.changed.append,
        ).add_routes(app)
        super().__init__(app, cancels=True)

    async def stop(self) -> None:
        await super().stop()
        self.pooled.close()

    async def ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        **more: Any,  # noqa: ANN401
    ) -> tuple[int, Any, dict[str, str]]:
        path = f"/rooms/room/replays{path}"
        async with self.http.request(method, path, headers=headers or token("host"), **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None, dict(answer.headers)

    async def patch(self, body: object, take: str = KEY.take) -> tuple[int, Any]:
        status, answer, _ = await self.ask("PATCH", f"/{take}", json=body)
        return status, answer


def ready(key: TakeKey, *, published: bool) -> dict[str, object]:
    return {
        "room": "room",
        "take": key.take,
        "state": "ready",
        "page": f"/replay/room/{key.take}",
        "m4a": f"/replay/room/{key.take}.m4a",
        "title": "Friday, 1 January 2026",
        "published": published,
        "private": False,
        "started_at": "2026-01-01T00:00:00.000Z",
        "samples": SAMPLES,
        "seconds": 10.0,
        "speakers": ["Ada", "Bob"],
        "chapters": 2,
        "bytes": 81_234,
    }
