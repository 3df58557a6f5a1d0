"""Private replays at an origin: where listeners are sent, feeds, and rooms that change."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from lxml import etree

from contracts.listen import listen_path
from contracts.take import TakeKey
from origin.replays import PRESIGN
from storage.disk_objects import DiskObjects
from storage.rooms import RoomRecord
from tests.origins import Answer
from tests.private_room import GOOD, LIVE, SOON, Two, private_room, put_live
from tests.replay_site import KEY, KEYS, Kept, bearer, keep, serving
from tests.takes import EPOCH_US


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with private_room(tmp_path) as made:
        yield made


# ---- hosts -------------------------------------------------------------------------------------------------


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
