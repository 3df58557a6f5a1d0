"""Replays in a storage, as a finisher leaves them but of random bytes, and an origin that serves them."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import Grant, guard
from contracts.errors import StorageUnavailable
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.take import Rendition, TakeHeader, TakeKey, TakeSettings
from contracts.tokens import Keys, TokenGate
from origin.app import Rooms, add_routes
from origin.cache_policy import error_cache_control
from origin.connection import OriginRunner
from origin.http_feed import FeedHandlers
from origin.lobby import TitleOf
from origin.pages import Page
from origin.replays import Replays
from origin.service import Origin, OriginLimits
from storage.commit import FragmentRecord, TakeCommit
from storage.derived import Derived, DerivedObject, Digester
from storage.documents import to_bytes
from storage.entry import ReplayEntry
from storage.meta import TakeMeta
from storage.names import DERIVED, META, RECORD, entry_name, fragment_name, open_name, take_object
from storage.objects import Content, ObjectInfo, Objects
from storage.pooled import Pooled
from storage.rooms import RoomRecord
from storage.take_record import TakeRecord
from tests.origins import Answer
from tests.takes import EPOCH_US

TOKEN = "the-admins-s3cret"
KEYS = Keys({"k": b"of-thirty-two-bytes-at-the-least"})
EXPIRES = 4_000_000_000
KEY = TakeKey("town-hall", "20260101T000000Z-abc234")
SAMPLES = 48_000 * 60


def bearer(role: str, room: str | None = "town-hall") -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS.sign(Grant(role, room), EXPIRES)}"}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Kept:
    """One take as it is to lie in the storage. `seed` gives its media."""

    key: TakeKey = KEY
    title: str = "The harbour"
    published: bool = True
    size: int = 700_000
    seed: int = 1
    epoch_us: int = EPOCH_US
    objects: Mapping[str, bytes] = field(default_factory=dict)
    private: bool = False

    @property
    def story(self) -> TakeRecord:
        settings = TakeSettings(1, 5, (Rendition("64k"),), private=self.private)
        header = TakeHeader(self.epoch_us, settings, "0" * 64)
        return TakeRecord(self.key, header, SAMPLES, (), (), None, (), "Town hall", self.published)

    @property
    def meta(self) -> TakeMeta:
        return TakeMeta(self.title, published=self.published)

    @property
    def m4a(self) -> bytes:
        return _noise(str(self.seed), self.size)

    @property
    def made(self) -> dict[str, bytes]:
        """Everything derived, by its name."""
        return {
            "replay.m4a": self.m4a,
            "replay.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=80000\n64k/index.m3u8\n",
            "64k/replay.m3u8": b"#EXTM3U\n" + b"#EXTINF:2.0,\n0.mp4\n" * 60,
            "chapters.json": json.dumps({"version": "1.2.0", "title": self.title}).encode(),
            "peaks.json": json.dumps({"version": 2, "data": [-3, 3] * 600}).encode(),
            **self.objects,
        }

    @property
    def fragments(self) -> dict[int, bytes]:
        """Of the one rendition, by the first segment of each; they are the take's for good."""
        return {msn: _noise(f"{self.key} {msn}", 240_000 + msn) for msn in (0, 15)}

    def commit(self) -> TakeCommit:
        records = tuple(
            FragmentRecord(msn, len(data), hashlib.sha256(data).hexdigest())
            for msn, data in self.fragments.items()
        )
        return TakeCommit(self.story, (), {"64k": records})

    def derived(self) -> Derived:
        meta = hashlib.sha256(to_bytes(self.meta.to_json())).hexdigest()
        record = hashlib.sha256(to_bytes(self.commit().to_json())).hexdigest()
        return Derived(meta, record, {name: digested(data) for name, data in self.made.items()})

    def entry(self) -> ReplayEntry:
        derived = hashlib.sha256(to_bytes(self.derived().to_json())).hexdigest()
        m4a = hashlib.sha256(self.m4a).hexdigest()
        entry = ReplayEntry(
            self.key, self.title, self.published, self.epoch_us, SAMPLES, (), 0, self.size, m4a, derived
        )
        return replace(entry, private=self.private)

    def changed(self, **what: object) -> Kept:
        return replace(self, **what)  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def _noise(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@lru_cache(maxsize=256)
def digested(data: bytes) -> DerivedObject:
    digester = Digester()
    digester.add(data)
    return digester.done()


def keep(objects: Objects, kept: Kept, upto: str = "entry") -> Kept:
    """Store it, or what changed of it, in the order of a finisher; `upto` is the last step that is done."""
    for step, name, data in steps(kept):
        objects.write(name, [data])
        if step == upto:
            break
    return kept


def steps(kept: Kept) -> Iterator[tuple[str, str, bytes]]:
    for msn, data in kept.fragments.items():
        yield "fragments", fragment_name(kept.key, "64k", msn), data
    yield "commit", take_object(kept.key, RECORD), to_bytes(kept.commit().to_json())
    yield "meta", take_object(kept.key, META), to_bytes(kept.meta.to_json())
    for name, data in kept.made.items():
        yield name, take_object(kept.key, name), data
    yield "derived", take_object(kept.key, DERIVED), to_bytes(kept.derived().to_json())
    yield "entry", entry_name(kept.key), to_bytes(kept.entry().to_json())


def mark_open(objects: Objects, key: TakeKey = KEY) -> None:
    objects.write(open_name(key), [b"{}"])


class Watched:
    """A storage that counts, is slow (`seconds` for each call), fails, or hangs when it is told to."""

    def __init__(self, inner: Objects) -> None:
        self.inner = inner
        self.reads: list[str] = []
        self.lists = 0
        self.at_once = 0
        self.most_at_once = 0
        self.seconds = 0.0
        self.broken = False
        self._gate = threading.Event()
        self._gate.set()
        self.before_read: Callable[[str, int], None] = lambda name, start: None
        self.addresses: list[tuple[str, int, str | None]] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.inner.name

    def read(self, name: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Content:
        with self._lock:
            self.reads.append(name)
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            self._trouble()
            self.before_read(name, start)
            return self.inner.read(name, start, stop, etag=etag)
        finally:
            with self._lock:
                self.at_once -= 1

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.lists += 1
        self._trouble()
        return self.inner.list(prefix)

    def head(self, name: str) -> ObjectInfo | None:
        self._trouble()
        return self.inner.head(name)

    def put_new(self, name: str, data: bytes) -> bool:
        return self.inner.put_new(name, data)

    def replace(self, name: str, data: bytes, etag: str | None) -> ObjectInfo:
        return self.inner.replace(name, data, etag)

    def write(self, name: str, chunks: Iterable[bytes]) -> ObjectInfo:
        return self.inner.write(name, chunks)

    def children(self, directory: str) -> Iterator[str]:
        return self.inner.children(directory)

    def delete(self, names: Iterable[str]) -> None:
        self.inner.delete(names)

    def remove(self, name: str, etag: str) -> None:
        self.inner.remove(name, etag)

    def presign(self, name: str, seconds: int, *, filename: str | None = None) -> str | None:
        self.addresses.append((name, seconds, filename))
        return f"https://store.example/{name}?signed"

    def close(self) -> None:
        self.inner.close()

    def hold(self) -> None:
        """Answer nothing until `release`."""
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    def _trouble(self) -> None:
        if self.seconds:
            time.sleep(self.seconds)
        assert self._gate.wait(30)
        if self.broken:
            raise StorageUnavailable("the storage is gone")


@dataclass
class Serving:
    """An origin that serves a storage."""

    port: int
    origin: Origin
    replays: Replays
    session: aiohttp.ClientSession

    async def request(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        if not path.startswith("/"):
            path = f"/replay/{KEY.room}/{KEY.take}{path if path.startswith('.') else '/' + path}"
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, headers: Mapping[str, str] | None = None, **fields: str) -> Answer:
        """`path` is absolute, or relative to the take: `.m4a`, `take.json`."""
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        return await self.request("GET", path, {**(headers or {}), **named})

    def failures(self, reason: str) -> float:
        found = self.origin.metrics.registry.get_sample_value(
            "longwave_replay_failures_total", {"reason": reason}
        )
        return found or 0.0


@asynccontextmanager
async def serving(
    objects: Objects,
    *,
    fresh_seconds: float = 0.0,
    redirect: str | None = None,
    gate: TokenGate | None = None,
    title_of: TitleOf = str,
    pages: Mapping[str, Page] | None = MappingProxyType({}),
    records: Mapping[str, RoomRecord] = MappingProxyType({}),
) -> AsyncIterator[Serving]:
    """On a free port; by default nothing that was found is kept, so that what changes is seen at once."""

    async def look_up(room: str) -> RoomRecord | None:
        return records.get(room)

    metrics = Metrics(CollectorRegistry())
    origin, pooled = Origin(OriginLimits(), metrics), Pooled()
    replays = Replays(objects, pooled, fresh_seconds=fresh_seconds, redirect=redirect, live=origin.is_live)
    app = web.Application(middlewares=[error_middleware(error_cache_control, metrics)])
    guard(app, gate or TokenGate(TOKEN, KEYS))
    rooms = Rooms(title_of, look_up)
    add_routes(app, origin, rooms=rooms, replays=replays, pages=None if pages is None else dict(pages))
    FeedHandlers(origin, replays, look_up).add_routes(app)
    runner = OriginRunner(app, metrics, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with aiohttp.ClientSession(
            connector=connector, skip_auto_headers=["Accept-Encoding"], auto_decompress=False
        ) as session:
            yield Serving(runner.addresses[0][1], origin, replays, session)
    finally:
        await runner.cleanup()
        pooled.close()
