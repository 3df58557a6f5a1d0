"""Podcast feeds over HTTP: who gets one, what it costs, and when it changes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import feedparser
import pytest
from aiohttp import ClientSession, web
from lxml import etree
from multidict import CIMultiDictProxy
from prometheus_client import CollectorRegistry

from contracts.access import guard
from contracts.errors import NotFound, StorageUnavailable
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.take import TakeKey
from contracts.tokens import TokenGate
from origin.cache_policy import error_cache_control
from origin.feed import render_feed
from origin.http_feed import FeedHandlers
from origin.service import Origin, OriginLimits
from storage.entry import ReplayEntry
from storage.meta import Chapter
from storage.podcast import Podcast
from storage.rooms import RoomRecord
from tests.feeds import ROOM, SECOND, TAKE, entry
from tests.takes import header

PATH = f"/feeds/{ROOM}.xml"
CHAPTERS = (Chapter(0, "Welcome"), Chapter(60 * SECOND, "Budget"))
PODCAST = "{https://podcastindex.org/namespace/1.0}"


@dataclass
class Told:
    entry: ReplayEntry
    chapters: tuple[Chapter, ...] = CHAPTERS


@dataclass
class Replays:
    """A catalogue in memory that counts what it is asked, and fails when it is told to."""

    entries: list[ReplayEntry] = field(default_factory=list)
    found: list[TakeKey] = field(default_factory=list)
    listing_fails: bool = False
    finding_fails: Exception | None = None
    version: str | None = None

    async def listed(self, room: str | None = None, *, private: bool = False) -> Sequence[ReplayEntry]:
        if self.listing_fails:
            raise StorageUnavailable("the storage gives no answer")
        return [each for each in self.entries if each.key.room == room and each.private <= private]

    async def find(self, key: TakeKey, *, private: bool = False) -> Told:
        self.found.append(key)
        await asyncio.sleep(0)
        if self.finding_fails is not None:
            raise self.finding_fails
        (found,) = [each for each in self.entries if each.key == key]
        return Told(replace(found, derived=self.version or found.derived))


@dataclass
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def channel(self) -> etree._Element:
        channel = etree.fromstring(self.body).find("channel")
        assert channel is not None
        return channel

    @property
    def listed(self) -> list[int]:
        """How many chapters the description of each item names."""
        return [(item.findtext("description") or "").count("<li>") for item in self.channel.findall("item")]


@dataclass
class Serving:
    origin: Origin
    replays: Replays
    rooms: dict[str, RoomRecord]
    session: ClientSession
    port: int
    now: list[float]

    async def get(self, path: str = PATH, method: str = "GET", **headers: str) -> Answer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, headers=fields) as response:
            return Answer(response.status, response.headers, await response.read())

    async def raw(self, request: str) -> str:
        """The first line of the answer to a request that no client would send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request.encode())
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line.decode().rstrip()


@asynccontextmanager
async def serving(*entries: ReplayEntry, public_url: str | None = None) -> AsyncIterator[Serving]:
    metrics = Metrics(CollectorRegistry())
    now = [100.0]
    here = Origin(OriginLimits(), metrics, clock=lambda: now[0])
    replays = Replays([*entries])
    rooms: dict[str, RoomRecord] = {}
    app = web.Application(middlewares=[error_middleware(error_cache_control, metrics)])
    guard(app, TokenGate())

    async def look_up(room: str) -> RoomRecord | None:
        return rooms.get(room)

    FeedHandlers(here, replays, look_up, public_url).add_routes(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session:
            port = int(runner.addresses[0][1])
            yield Serving(here, replays, rooms, session, port, now)
    finally:
        await runner.cleanup()


# ---- the answer ------------------------------------------------------------------------------------------


async def test_a_feed_is_public_and_kept_for_a_minute() -> None:
    async with serving(entry(chapters=2)) as server:
        answer = await server.get()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/rss+xml; charset=utf-8"
        assert answer.headers["Cache-Control"] == "public, max-age=60"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["ETag"].startswith('"')
        parsed = feedparser.parse(answer.body)
        assert not parsed.bozo
        assert [item.id for item in parsed.entries] == [TAKE]

        unchanged = await server.get(If_None_Match=answer.headers["ETag"])
        assert (unchanged.status, unchanged.body) == (304, b"")
        head = await server.get(method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(answer.body))
        assert (await server.get(method="OPTIONS", Origin="https://app.example")).status == 204
        packed = await server.get(Accept_Encoding="gzip")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == answer.body
        assert packed.headers["ETag"] != answer.headers["ETag"]


async def test_a_feed_is_what_its_room_says() -> None:
    async with serving(entry()) as server:
        server.rooms[ROOM] = RoomRecord(title="Töwn hall", podcast=Podcast(author="The council"))
        channel = (await server.get()).channel
        assert channel.findtext("title") == "Töwn hall"
        assert channel.findtext("{http://www.itunes.com/dtds/podcast-1.0.dtd}author") == "The council"
        # It follows the room at once.
        server.rooms[ROOM] = RoomRecord(title="Assembly")
        assert (await server.get()).channel.findtext("title") == "Assembly"


async def test_an_unlisted_rooms_feed_is_for_who_knows_it() -> None:
    async with serving(entry()) as server:
        server.rooms[ROOM] = RoomRecord(visibility="unlisted")
        assert (await server.get()).channel.findtext(f"{PODCAST}block") == "yes"


async def test_the_newest_300_are_listed() -> None:
    many = [replace(entry(), key=TakeKey(ROOM, f"20260101T{number:06}Z-abc234")) for number in range(301)]
    async with serving(*many) as server:
        items = (await server.get()).channel.findall("item")
        assert [item.findtext("guid") for item in items] == [each.key.take for each in many[:300]]


# ---- who has one -----------------------------------------------------------------------------------------


async def test_a_room_that_nobody_made_has_none() -> None:
    async with serving(entry()) as server:
        answer = await server.get("/feeds/elsewhere.xml")
        assert (answer.status, answer.headers["Cache-Control"]) == (404, "public, max-age=1")
        server.rooms["elsewhere"] = RoomRecord()
        answer = await server.get("/feeds/elsewhere.xml")
        assert answer.status == 200
        assert answer.channel.findall("item") == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/feeds/no%20room.xml", 400),
        ("/feeds/" + "x" * 65 + ".xml", 400),
        ("/feeds/%3Cscript%3E.xml", 400),
        ("/feeds/%00.xml", 400),
        ("/feeds/..%2f.xml", 400),
        ("/feeds/town-hall", 404),
        ("/feeds/.xml", 404),
    ],
)
async def test_what_cannot_be_a_room_is_refused(path: str, status: int) -> None:
    async with serving(entry()) as server:
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert (await server.raw(request)).split()[1] == str(status)


async def test_a_live_room_says_so_for_as_long_as_it_is() -> None:
    async with serving() as server:
        assert (await server.get()).status == 404
        key = entry().key
        server.origin.put_take(key, header())
        (live,) = (await server.get()).channel.findall(f"{PODCAST}liveItem")
        assert (live.get("status"), live.get("start")) == ("live", "2026-01-01T00:00:00+00:00")
        assert live.findtext("guid") == f"{TAKE}-live"
        server.origin.end(key, 0)
        # The take is over and its replay not there yet: the show goes on, with nothing in it.
        answer = await server.get()
        assert (answer.status, len(answer.channel.findall(f"{PODCAST}liveItem"))) == (200, 0)
        server.replays.entries.append(entry())
        assert [item.findtext("guid") for item in (await server.get()).channel.findall("item")] == [TAKE]


# ---- its addresses ---------------------------------------------------------------------------------------


def enclosure(answer: Answer) -> str:
    found = answer.channel.find("item/enclosure")
    assert found is not None
    return str(found.get("url"))


async def test_addresses_begin_with_what_was_asked() -> None:
    async with serving(entry()) as server:
        assert enclosure(await server.get()) == f"http://127.0.0.1:{server.port}/replay/{ROOM}/{TAKE}.m4a"
        other = await server.get(Host="Pod.Example.net")
        assert enclosure(other) == f"http://pod.example.net/replay/{ROOM}/{TAKE}.m4a"
        # One does not get in the other's way.
        assert enclosure(await server.get(Host="[::1]:8080")).startswith("http://[::1]:8080/replay/")


async def test_addresses_begin_with_the_public_one_whatever_was_asked() -> None:
    async with serving(entry(), public_url="https://example.net/rooms/") as server:
        answer = await server.get(Host="evil.example")
        assert enclosure(answer) == f"https://example.net/rooms/replay/{ROOM}/{TAKE}.m4a"
        assert b"evil" not in answer.body
        assert (await server.raw(f"GET {PATH} HTTP/1.0\r\n\r\n")).endswith("200 OK")


@pytest.mark.parametrize(
    "host",
    [
        "Host: a<b>\r\n",
        'Host: a"b\r\n',
        "Host: a/b\r\n",
        "Host: a@b\r\n",
        "Host: a b\r\n",
        "Host: a:80:90\r\n",
        "Host: a:123456\r\n",
        "Host: ö\r\n",
        "Host: [::1\r\n",
        f"Host: {'a' * 300}\r\n",
        "Host:\r\n",
        "",
    ],
)
async def test_a_host_that_is_none_is_never_repeated(host: str) -> None:
    async with serving(entry()) as server:
        version = "HTTP/1.1" if host else "HTTP/1.0"
        assert (await server.raw(f"GET {PATH} {version}\r\n{host}\r\n")).split()[1] == "400"


# ---- what it costs ---------------------------------------------------------------------------------------


async def test_a_crowd_costs_what_one_listener_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []

    def counting(*args: object) -> bytes:
        rendered.append(1)
        return render_feed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("origin.http_feed.render_feed", counting)
    replays = [entry(chapters=2, later=day) for day in (2, 1, 0)]
    async with serving(*replays) as server:
        answers = await asyncio.gather(*(server.get() for _ in range(100)))
        assert {answer.body for answer in answers} == {answers[0].body}
        assert answers[0].listed == [2, 2, 2]
        assert (len(rendered), len(server.replays.found)) == (1, 3)

        # What has changed is read again, and nothing else.
        server.replays.entries[1] = entry("Renamed", chapters=2, later=1, version="e" * 64)
        changed = await server.get()
        assert changed.headers["ETag"] != answers[0].headers["ETag"]
        assert (len(rendered), server.replays.found[3:]) == (2, [replays[1].key])

        # Under another address it is another feed, of the same chapters; both stay.
        for host in ("b.example", "a.example", "b.example", "a.example"):
            assert (await server.get(Host=host)).status == 200
        assert (len(rendered), len(server.replays.found)) == (4, 4)


async def test_a_replay_without_chapters_is_not_looked_up() -> None:
    async with serving(entry()) as server:
        assert (await server.get()).listed == [0]
        assert server.replays.found == []


@pytest.mark.parametrize("trouble", [StorageUnavailable("no answer"), NotFound("no such replay")])
async def test_chapters_that_cannot_be_read_come_later(trouble: Exception) -> None:
    async with serving(entry(chapters=2)) as server:
        server.replays.finding_fails = trouble
        answer = await server.get()
        assert (answer.status, answer.listed) == (200, [0])
        server.replays.finding_fails = None
        # A storage that has just failed is left alone for a while.
        for _ in range(20):
            assert (await server.get()).listed == [0]
        assert len(server.replays.found) == 1
        server.now[0] += 5
        assert (await server.get()).listed == [2]
        server.now[0] += 3600
        assert (await server.get()).listed == [2]
        assert len(server.replays.found) == 2


async def test_chapters_of_another_version_do_not_stay() -> None:
    async with serving(entry(chapters=2)) as server:
        server.replays.version = "0" * 64
        await server.get()
        server.replays.version = None
        server.now[0] += 5
        for _ in range(3):
            await server.get()
        assert len(server.replays.found) == 2


async def test_a_catalogue_that_cannot_be_read_is_no_empty_feed() -> None:
    async with serving(entry()) as server:
        server.replays.listing_fails = True
        answer = await server.get()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_listener_who_leaves_takes_nothing_with_them() -> None:
    async with serving(entry(chapters=2)) as server:
        leaving = [asyncio.create_task(server.get()) for _ in range(5)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert (await server.get()).listed == [2]
