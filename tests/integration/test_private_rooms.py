"""What is private, at an origin: there for who comes through a signed path, and nowhere for all others."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import structlog
from lxml import etree

from contracts.access import ACCESS, SIGNED
from contracts.listen import listen_path
from contracts.position import Position
from contracts.take import TakeHeader, TakeKey, TakeSettings
from contracts.tokens import Keys, TokenGate
from origin.replays import PRESIGN
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from storage.names import META, entry_name, open_name, take_object
from storage.rooms import RoomRecord
from tests.origins import Answer
from tests.replay_site import KEY, KEYS, TOKEN, Kept, Serving, Watched, bearer, keep, serving
from tests.takes import EPOCH_US, part, positions

LIVE = TakeKey(KEY.room, "20260102T000000Z-abc234")
NOW = int(time.time())
SOON, PAST = NOW + 3600, NOW - 60
GOOD = listen_path(KEYS.listen.sign(KEY.room, SOON))
PRIVATE = RoomRecord(title="Board meeting", visibility="private")
# What a listener can ask for of one room, from the table of routes itself.
PATHS = sorted(
    path.format(room=KEY.room, take=take, rendition="64k", msn=1, part=2, fragment=0, name="x")
    for (method, path) in ACCESS
    for take in ([LIVE.take] if path.startswith("/live/") else [KEY.take])
    if method == "GET" and path in SIGNED
)
WRONG = {
    "expired": KEYS.listen.sign(KEY.room, PAST),
    "of another room": KEYS.listen.sign("other", SOON),
    "of another key": Keys({"other": b"o" * 32}).listen.sign(KEY.room, SOON),
    "of another secret": Keys({"k": b"o" * 32}).listen.sign(KEY.room, SOON),
    "malformed": "k.1.2",
    "no token": "x",
    "a JWT": bearer("host")["Authorization"].removeprefix("Bearer "),
}


def put_live(site: Serving, key: TakeKey = LIVE, *, private: bool = True) -> None:
    """Two whole segments of a take that goes on."""
    settings = TakeSettings(private=private)
    site.origin.put_take(key, TakeHeader(EPOCH_US, settings, "f"))
    site.origin.put_init(key, "64k", init_segment(settings, settings.renditions[0]))
    grid = Grid(settings.parts)
    for position in positions(grid, Position(0, 0), Position(2, 1)):
        site.origin.put_part(key, "64k", *position, part(grid, *position))


@dataclass
class Two:
    """An origin with a private room, and one where nothing ever was."""

    site: Serving
    empty: Serving
    objects: Watched
    nothing: Watched

    async def assert_nothing_there(self, method: str, path: str, **headers: str) -> None:
        """Both answer alike, byte for byte."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        there, nowhere = [await each.request(method, path, fields) for each in (self.site, self.empty)]
        assert there.status == nowhere.status == 404, (method, path)
        assert there.body == nowhere.body
        assert _fields(there) == _fields(nowhere)


def _fields(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "Date"}


@asynccontextmanager
async def private_room(
    directory: Path, kept: Kept | None = None, redirect: str | None = None
) -> AsyncIterator[Two]:
    """A room that is private, as are its live take and its replay."""
    objects, nothing = (Watched(DiskObjects(directory / name)) for name in ("it", "nothing"))
    keep(objects, kept or Kept(private=True))
    records = {KEY.room: PRIVATE}

    def title_of(room: str) -> str | None:
        return None if room == KEY.room else room

    async with (
        serving(objects, redirect=redirect, records=records, title_of=title_of) as site,
        serving(nothing, redirect=redirect) as empty,
    ):
        put_live(site)
        yield Two(site, empty, objects, nothing)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with private_room(tmp_path) as made:
        yield made


# ---- without a token ------------------------------------------------------------------------------------


def test_every_kind_of_path_is_asked_for() -> None:
    assert {path.split("/")[1] for path in PATHS} == {"live", "replay", "feeds", "listen"}
    assert len(PATHS) == len(SIGNED) == 15


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_unsigned_paths_answer_as_if_there_was_nothing(two: Two, method: str) -> None:
    for path in PATHS:
        await two.assert_nothing_there(method, path)
        await two.assert_nothing_there(method, path, If_None_Match="*")
        await two.assert_nothing_there(method, path, Range="bytes=0-9", Accept_Encoding="gzip")
        await two.assert_nothing_there(method, path, Authorization="Bearer wrong")
        # A listener's invitation is for asking for a path, and for nothing else.
        await two.assert_nothing_there(method, path, **bearer("listener"))
    for query in ("?_HLS_msn=1", "?_HLS_msn=2&_HLS_part=0", "?_HLS_msn=x", "?_HLS_msn=99"):
        await two.assert_nothing_there(method, f"/live/{KEY.room}/{LIVE.take}/64k/index.m3u8{query}")
    await two.assert_nothing_there(method, f"/live/{KEY.room}/{LIVE.take}/96k/index.m3u8")
    await two.assert_nothing_there(method, f"/live/{KEY.room}/{LIVE.take}/64k/2.1.m4s")


async def test_preflights_tell_nothing_and_need_nothing(two: Two) -> None:
    for prefix in ("", GOOD, "/p/x"):
        for path in PATHS:
            there, nowhere = [await each.request("OPTIONS", prefix + path) for each in (two.site, two.empty)]
            assert (there.status, there.body, _fields(there)) == (204, b"", _fields(nowhere))


async def test_a_take_that_is_live_or_being_finished_has_no_replay_yet_for_those_alone_who_may_know(
    two: Two,
) -> None:
    objects = two.objects
    finishing = TakeKey(KEY.room, "20260103T000000Z-abc234")
    header = TakeHeader(EPOCH_US, TakeSettings(private=True), "f")
    objects.put_new(open_name(finishing), to_bytes(header.to_json()))
    for key in (LIVE, finishing):
        path = f"/replay/{key.room}/{key.take}.m4a"
        await two.assert_nothing_there("GET", path)
        assert (await two.site.get(GOOD + path)).status == 409
        assert (await two.site.get(path, bearer("host"))).status == 409


async def test_a_damaged_private_replay_is_damaged_for_those_alone_who_may_know(two: Two) -> None:
    objects = two.objects
    objects.write(take_object(KEY, META), [b"nonsense"])
    await two.assert_nothing_there("GET", f"/replay/{KEY.room}/{KEY.take}.m4a")
    assert (await two.site.get(f"{GOOD}/replay/{KEY.room}/{KEY.take}.m4a")).status == 502


async def test_an_entry_that_does_not_know_of_privacy_makes_nothing_public(two: Two) -> None:
    objects = two.objects
    entry = replace(Kept(private=True).entry(), private=False)
    objects.write(entry_name(KEY), [to_bytes(entry.to_json())])
    for path in PATHS:
        if path.startswith("/replay/"):
            await two.assert_nothing_there("GET", path)


async def test_no_look_at_the_storage_tells_a_private_replay_from_none(two: Two) -> None:
    two.objects.reads.clear()
    for each in (two.site, two.empty):
        await each.get("take.json")
    assert two.objects.reads == two.nothing.reads != []


async def test_lists_hold_nothing_private(two: Two) -> None:
    assert (await two.site.get("/rooms.json")).text == (await two.empty.get("/rooms.json")).text


async def test_metrics_hold_neither_rooms_nor_tokens(two: Two) -> None:
    await two.site.get(f"{GOOD}/live/{KEY.room}/index.m3u8")
    for token in WRONG.values():
        await two.site.get(f"/p/{token}/live/{KEY.room}/index.m3u8")
    text = (await two.site.get("/metrics")).text
    assert KEY.room not in text
    assert not [token for token in (GOOD, *WRONG.values()) if len(token) > 9 and token[-9:] in text]
    for outcome, times in (("expired", 1.0), ("forged", 2.0), ("unknown", 4.0)):
        name = "longwave_listen_tokens_total"
        found = two.site.origin.metrics.registry.get_sample_value(name, {"outcome": outcome})
        assert found == times, outcome


# ---- with one ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_signed_path_lets_in_and_says_what_caches_may_keep(two: Two, method: str) -> None:
    token = GOOD.rpartition(".")[2]
    for path in PATHS:
        answer = await two.site.request(method, GOOD + path)
        assert answer.status == 200, path
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        # Edges keep what they let in; but what holds a token is for whoever showed it.
        feed = path.startswith("/feeds/")
        assert answer.headers["Cache-Control"].startswith("private, no-store" if feed else "public"), path
        holds = token in answer.text if not path.endswith((".m4s", ".mp4", ".m4a")) else False
        assert holds == (feed and method == "GET"), path
        assert not [value for value in answer.headers.values() if token in value]
        again = await two.site.request(method, GOOD + path, {"If-None-Match": answer.headers["ETag"]})
        assert again.status == 304
        assert again.headers["Referrer-Policy"] == "no-referrer"


async def test_what_is_heard_at_a_signed_path_is_what_a_public_take_has(tmp_path: Path) -> None:
    async with private_room(tmp_path, Kept()) as two:
        put_live(two.empty, private=False)
        for path in PATHS:
            if path.startswith("/live/"):
                signed, public = await two.site.get(GOOD + path), await two.empty.get(path)
                assert (signed.status, signed.body) == (200, public.body)
                assert signed.headers["ETag"] == public.headers["ETag"]


@pytest.mark.parametrize("why", WRONG)
async def test_a_token_that_does_not_let_in_is_refused_whatever_is_there(two: Two, why: str) -> None:
    token = WRONG[why]
    for site in (two.site, two.empty):
        for path in PATHS:
            answer = await site.get(f"/p/{token}{path}")
            assert answer.status == 403, path
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert token not in answer.text
            assert answer.error.startswith("this address")


async def test_a_signed_path_to_a_public_room_works_too(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    keep(objects, Kept())
    async with serving(objects) as site:
        put_live(site, private=False)
        for path in PATHS:
            for prefix in ("", GOOD):
                assert (await site.get(prefix + path)).status == 200, prefix + path


async def test_signed_requests_are_not_remembered(tmp_path: Path) -> None:
    """A request that is answered from memory is not looked at: neither its token nor its end."""
    now = [1000.0]
    path = f"/p/{KEYS.listen.sign(KEY.room, 2000)}/live/{KEY.room}/{LIVE.take}/64k/0.m4s"
    async with serving(DiskObjects(tmp_path), gate=TokenGate(TOKEN, KEYS, lambda: now[0])) as site:
        put_live(site)
        assert {(await site.get(path)).status for _ in range(5)} == {200}
        now[0] = 2000.0
        assert {(await site.get(path)).status for _ in range(2)} == {403}


async def test_only_what_is_listened_to_has_a_signed_path(two: Two) -> None:
    for path in (
        "/metrics",
        "/rooms.json",
        "/healthz",
        f"/publish/{KEY.room}/{LIVE.take}",
        "/",
        "/cluster.json",
    ):
        answer = await two.site.get(GOOD + path)
        assert answer.status == 404, path
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert GOOD not in answer.text


# ---- hosts -------------------------------------------------------------------------------------------------


async def test_hosts_see_private_replays_with_their_own_token_and_nobody_keeps_them(two: Two) -> None:
    answer = await two.site.get(".m4a", bearer("host"))
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert "Authorization" in answer.headers["Vary"]
    assert (await two.site.get(".m4a", bearer("host", "other"))).status == 404
    assert (await two.site.get(".m4a", bearer("speaker"))).status == 404


async def test_what_is_not_published_is_not_there_for_those_who_were_let_in(tmp_path: Path) -> None:
    async with private_room(tmp_path, Kept(private=True, published=False)) as two:
        path = f"{GOOD}/replay/{KEY.room}/{KEY.take}.m4a"
        assert (await two.site.get(path)).status == 404
        answer = await two.site.get(path, bearer("host"))
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")


# ---- elsewhere ---------------------------------------------------------------------------------------------


async def test_nobody_is_sent_to_an_address_where_anybody_may_read_it(tmp_path: Path) -> None:
    async with private_room(tmp_path, redirect="https://cdn.example") as two:
        await two.assert_nothing_there("GET", f"/replay/{KEY.room}/{KEY.take}.m4a")
        answer = await two.site.get(f"{GOOD}/replay/{KEY.room}/{KEY.take}.m4a")
        assert (answer.status, answer.body) == (200, Kept().m4a)


async def test_an_address_that_is_signed_for_an_hour_is_given_to_those_who_were_let_in(
    tmp_path: Path,
) -> None:
    async with private_room(tmp_path, redirect=PRESIGN) as two:
        await two.assert_nothing_there("GET", f"/replay/{KEY.room}/{KEY.take}.m4a")
        answer = await two.site.get(f"{GOOD}/replay/{KEY.room}/{KEY.take}.m4a")
        assert answer.status == 302
        assert answer.headers["Location"].endswith("replay.m4a?signed")


# ---- rooms that change -------------------------------------------------------------------------------------


def _addresses(feed: Answer) -> Iterator[str]:
    for element in etree.fromstring(feed.body).iter():
        for value in (*element.attrib.values(), element.text or ""):
            if value.startswith("http://127"):
                yield value


def _takes(feed: Answer) -> list[str]:
    return [item.findtext("guid") or "" for item in etree.fromstring(feed.body).iter("item")]


async def test_a_private_rooms_feed_leads_everywhere_with_its_token(two: Two) -> None:
    feed = await two.site.get(f"{GOOD}/feeds/{KEY.room}.xml")
    addresses = [address.partition("127.0.0.1")[2].partition("/")[2] for address in _addresses(feed)]
    media = [address for address in addresses if address.startswith("p/")]
    pages = [address for address in addresses if "#" in address]
    assert all(f"/{address}".startswith(f"{GOOD}/") for address in media)
    assert all(address.endswith(f"#listen={GOOD.removeprefix('/p/')}") for address in pages)
    assert {*addresses} - {*media} - {*pages} == {"assets/cover.png"}
    for address in media:
        assert (await two.site.get(f"/{address}")).status == 200, address
    assert _takes(feed) == [KEY.take]
    assert "podcast:block>yes" in feed.text
    # Whoever subscribes anew with another token subscribes to the same podcast.
    other = listen_path(KEYS.listen.sign(KEY.room, SOON + 60))
    again = await two.site.get(f"{other}/feeds/{KEY.room}.xml")
    guid = "{https://podcastindex.org/namespace/1.0}guid"
    found = [next(etree.fromstring(each.body).iter(guid)).text for each in (feed, again)]
    assert found[0] == found[1]
    assert GOOD not in again.text


async def test_a_room_that_has_become_private_keeps_what_was_public_and_shows_it_to_nobody(
    tmp_path: Path,
) -> None:
    async with private_room(tmp_path, Kept()) as two:
        # Its address was public and stays: nobody can call that back.
        assert (await two.site.get(".m4a")).status == 200
        await two.assert_nothing_there("GET", f"/feeds/{KEY.room}.xml")
        await two.assert_nothing_there("GET", f"/listen/{KEY.room}.json")
        assert json.loads((await two.site.get("/rooms.json")).text) == {"rooms": []}
        assert _takes(await two.site.get(f"{GOOD}/feeds/{KEY.room}.xml")) == [KEY.take]


async def test_a_room_that_has_become_public_keeps_to_itself_what_was_private(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    keep(objects, Kept(private=True))
    other = TakeKey(KEY.room, "20260104T000000Z-abc234")
    keep(objects, Kept(key=other, epoch_us=EPOCH_US + 1, title="Open day"))
    async with serving(objects, records={KEY.room: RoomRecord(title="Town hall")}) as site:
        put_live(site)
        assert (await site.get(f"/replay/{KEY.room}/{KEY.take}/take.json")).status == 404
        feed = await site.get(f"/feeds/{KEY.room}.xml")
        assert _takes(feed) == [other.take]
        assert LIVE.take not in feed.text
        lobby = json.loads((await site.get("/rooms.json")).text)["rooms"]
        assert [(room["live"], [each["take"] for each in room["replays"]]) for room in lobby] == [
            (False, [other.take])
        ]
        assert not json.loads((await site.get(f"/listen/{KEY.room}.json")).text)["live"]
        signed = await site.get(f"{GOOD}/feeds/{KEY.room}.xml")
        assert _takes(signed) == [other.take, KEY.take]
        assert LIVE.take in signed.text


async def test_a_private_take_hides_itself_and_not_the_public_one_before_it(tmp_path: Path) -> None:
    async with serving(DiskObjects(tmp_path)) as site:
        before = TakeKey(KEY.room, "20260101T120000Z-abc234")
        put_live(site, before, private=False)
        put_live(site)
        path = f"/live/{KEY.room}/index.m3u8"
        assert before.take in (await site.get(path)).text
        assert LIVE.take in (await site.get(GOOD + path)).text
        lobby = json.loads((await site.get("/rooms.json")).text)["rooms"]
        assert [room["take"] for room in lobby] == [before.take]


# ---- logs --------------------------------------------------------------------------------------------------


async def test_an_error_of_ours_is_logged_without_the_token(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(two.site.origin, "current", fail)
    with structlog.testing.capture_logs() as logs:
        answer = await two.site.get(f"{GOOD}/live/{KEY.room}/index.m3u8")
    assert answer.status == 500
    assert [log["path"] for log in logs] == [f"/p/…/live/{KEY.room}/index.m3u8"]
    assert GOOD.rpartition(".")[2] not in str(logs) + answer.text
