"""`GET /listen/{room}.json` and what edges tell, at a running origin."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import StorageUnavailable
from contracts.listen import listen_path
from contracts.listeners import EdgeReport, Headcount, Tier
from contracts.metrics import Metrics
from contracts.take import TakeHeader, TakeKey, TakeSettings
from contracts.tokens import Keys
from longwave.house import House
from longwave.serve_replays import Kept
from origin.app import Rooms
from origin.edges import FORGOTTEN_SECONDS, MAX_EDGES
from origin.service import Origin
from origin.tiers import CALM_SECONDS, TierPlan
from origin.whereabouts import LEARN_SECONDS, Whereabouts
from storage.disk_objects import DiskObjects
from storage.pooled import Pooled
from storage.rooms import RoomRecord, RoomStore
from tests.origins import KEY, ROOM, TAKE, Answer, RunningOrigin, running, settings
from tests.playlists import blocked, end, samples_to

PLAN = TierPlan(
    {Tier.ORIGIN: ("http://o",), Tier.EDGE: ("http://e1", "http://e2"), Tier.CDN: ("http://c",)},
    {Tier.EDGE: 100, Tier.CDN: 1000},
    "http://o",
)
SECRET = "a-secret-of-this-test-of-32-bytes"
NEXT = json.dumps(TakeHeader(1_800_000_000_000_000, TakeSettings(), "0" * 64).to_json()).encode()
RECORDS = {
    "named": RoomRecord(title="Näme"),
    "unlisted": RoomRecord(visibility="unlisted"),
    "private": RoomRecord(title="Secret", visibility="private"),
}


class Site:
    """An origin whose clock stands still until it is moved; `others` are what other origins know."""

    now = 1_000.0
    away = False

    def __init__(self, remembered: dict[TakeKey, Tier] | None = None) -> None:
        self.others: list[Headcount] = []
        self.remembered = remembered

    def clock(self) -> float:
        return self.now

    def rooms(self, origin: Origin) -> Rooms:
        def others() -> Sequence[Headcount]:
            return self.others

        self.whereabouts = Whereabouts(origin, PLAN, others=others, remembered=self.remembered)
        return Rooms(str, self.look_up, self.whereabouts)

    async def look_up(self, room: str) -> RoomRecord | None:
        if self.away:
            raise StorageUnavailable("the storage gives no answer")
        return RECORDS.get(room)

    def pass_time(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            each()
            self.whereabouts.tick()

    def hear(self, count: int, tier: Tier = Tier.EDGE, name: str = "e1") -> None:
        self.whereabouts.edges.hear(name, EdgeReport(tier, {ROOM: count}), self.now)

    def tier(self) -> Tier:
        return self.whereabouts.tier(ROOM)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def room(site: Site) -> AsyncIterator[RunningOrigin]:
    async with running(clock=site.clock, rooms=site.rooms) as origin:
        await origin.begin()
        await origin.feed((3, 2))
        yield origin


async def told(room: RunningOrigin, name: str = ROOM) -> dict[str, Any]:
    said = json.loads((await room.get(f"/listen/{name}.json")).body)
    assert isinstance(said, dict)
    return said


async def tell(room: RunningOrigin, body: object, name: str = "e1", **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await room.request("PUT", f"/edges/{name}/listeners", data=data, headers=headers)


async def test_a_live_room_says_where_it_is_heard(room: RunningOrigin) -> None:
    answer = await room.get(f"/listen/{ROOM}.json")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "public, max-age=2")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert json.loads(answer.body) == {
        "room": ROOM,
        "title": ROOM,
        "live": True,
        "take": TAKE,
        "private": False,
        "tier": "origin",
        "bases": ["http://o"],
        "playlist": f"/live/{ROOM}/index.m3u8",
        "listeners": 0,
        "ask_again": 10,
        "renew": f"http://o/rooms/{ROOM}/listen-token",
    }
    etag = answer.headers["ETag"]
    assert (await room.get(f"/listen/{ROOM}.json", If_None_Match=etag)).status == 304
    assert (await room.request("HEAD", f"/listen/{ROOM}.json")).headers["ETag"] == etag
    assert (await room.request("OPTIONS", f"/listen/{ROOM}.json")).status == 204


async def test_where_nothing_is_set_up_rooms_are_heard_where_they_are() -> None:
    async with running() as room:
        await room.begin()
        await room.feed((1, 0))
        said = await told(room)
        assert (said["bases"], said["renew"]) == ([""], f"/rooms/{ROOM}/listen-token")
        await tell(room, {"tier": "cdn", "rooms": {ROOM: 5000}})
        said = await told(room)
        assert (said["tier"], said["bases"], said["listeners"]) == ("origin", [""], 5000)


async def test_rooms_that_are_not_live_are_told_of_where_they_may_be(room: RunningOrigin) -> None:
    said = await told(room, "named")
    assert (said["title"], said["live"], said["take"], said["tier"]) == ("Näme", False, None, "origin")
    assert (await told(room, "unlisted"))["live"] is False
    missing = [await room.get(f"/listen/{name}.json") for name in ("private", "nowhere")]
    assert [answer.status for answer in missing] == [404, 404]
    # Nothing tells a private room from none.
    assert missing[0].body == missing[1].body
    assert missing[0].headers["Cache-Control"] == "public, max-age=1"
    assert (await room.get("/listen/not%20a%20room.json")).status == 400


async def test_the_first_answer_has_the_title_that_lies_in_the_storage(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    RoomStore(objects).put(ROOM, RoomRecord(title="Näme"))
    rooms = RoomStore(objects, shared=True)
    house = House(
        rooms, Kept(objects, Pooled(), Pooled()), Metrics(CollectorRegistry()), shared=True, knows_rooms=True
    )
    async with running(rooms=lambda _: Rooms(house.title_of, house.look_up)) as room:
        await room.begin()
        await room.feed((1, 0))
        assert (await told(room))["title"] == "Näme"
    await asyncio.to_thread(rooms.close)


async def test_while_nobody_can_say_what_a_room_is_called_it_is_heard_all_the_same(
    room: RunningOrigin, site: Site
) -> None:
    site.away = True
    said = await told(room)
    assert (said["title"], said["live"]) == (ROOM, True)
    # Whether there is such a room is not known: that is no 404.
    assert (await room.get("/listen/named.json")).status == 503
    site.away = False
    assert (await told(room, "named"))["title"] == "Näme"


async def test_an_ended_take_is_not_live(room: RunningOrigin) -> None:
    assert (await end(room, samples_to((3, 2)))).status == 201
    said = await told(room)
    assert (said["live"], said["take"], said["listeners"], said["ask_again"]) == (False, TAKE, 0, 3)
    room.origin.discard(room.origin.takes.known(KEY))
    assert (await room.get(f"/listen/{ROOM}.json")).status == 404


async def test_listeners_through_edges_are_counted_with_those_here(room: RunningOrigin, site: Site) -> None:
    waiting = await blocked(room, "?_HLS_msn=3&_HLS_part=2")
    assert (await tell(room, {"tier": "edge", "rooms": {ROOM: 40, "other": 7}})).status == 204
    assert (await tell(room, {"tier": "cdn", "rooms": {ROOM: 2}}, "c1")).status == 204
    assert (await told(room))["listeners"] == 43
    assert json.loads((await room.get("/rooms.json")).body)["rooms"][0]["listeners"] == 43
    # An edge says all that is true: what it said before is not.
    assert (await tell(room, {"tier": "edge", "rooms": {ROOM: 10}})).status == 204
    assert (await told(room))["listeners"] == 13
    value = room.origin.metrics.registry.get_sample_value
    tiers = [value("longwave_tier_listeners", {"tier": tier}) for tier in ("origin", "edge", "cdn")]
    assert tiers == [1, 10, 2]
    assert [value("longwave_edges", {"tier": tier}) for tier in ("edge", "cdn")] == [1, 1]
    assert (site.whereabouts.told_here(), site.whereabouts.told_here({"e1"})) == (13, 3)
    site.now += FORGOTTEN_SECONDS
    assert (await told(room))["listeners"] == 1
    assert value("longwave_edges", {"tier": "edge"}) == 0
    waiting.cancel()


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("e1", {"tier": "origin", "rooms": {}}, 400),
        ("e1", {"tier": "edge", "rooms": {ROOM: -1}}, 400),
        ("e1", b"not JSON", 400),
        ("e%20one", {"tier": "edge", "rooms": {}}, 400),
        ("e1", b"x" * 400_000, 413),
    ],
)
async def test_a_report_that_is_none_changes_nothing(
    room: RunningOrigin, name: str, body: object, status: int
) -> None:
    await tell(room, {"tier": "edge", "rooms": {ROOM: 40}})
    answer = await tell(room, body, name)
    assert (answer.status, answer.headers["Cache-Control"]) == (
        status,
        "no-store" if status == 413 else "public, max-age=1",
    )
    assert (await told(room))["listeners"] == 40


async def test_pages_are_no_edges_and_edges_are_not_without_number(room: RunningOrigin) -> None:
    report = {"tier": "edge", "rooms": {ROOM: 1}}
    assert (await tell(room, report, Origin="https://elsewhere.example")).status == 403
    statuses = [(await tell(room, report, f"e{number}")).status for number in range(MAX_EDGES + 1)]
    assert statuses == [204] * MAX_EDGES + [503]
    assert (await tell(room, report, "e0")).status == 204


async def test_only_who_publishes_may_tell() -> None:
    async with running(token=SECRET) as room:
        report = {"tier": "edge", "rooms": {ROOM: 1}}
        assert (await tell(room, report)).status == 401
        assert (await tell(room, report, Authorization=f"Bearer {SECRET}")).status == 204


async def test_a_private_room_is_told_of_to_those_alone_who_were_let_in() -> None:
    site = Site()
    take = replace(settings(), private=True)
    keys = Keys({"k": SECRET.encode()})
    async with running(take, clock=site.clock, token=SECRET, keys=keys, rooms=site.rooms) as room:
        room.session.headers["Authorization"] = f"Bearer {SECRET}"
        await room.begin()
        await room.feed((1, 0))
        site.hear(500)

        def signed(name: str) -> str:
            return listen_path(keys.listen.sign(name, int(time.time()) + 60)) + f"/listen/{name}.json"

        assert (await room.get(f"/listen/{ROOM}.json")).status == 404
        answer = await room.get(signed(ROOM))
        said = json.loads(answer.body)
        assert (said["private"], said["live"], said["tier"], said["listeners"]) == (True, True, "edge", 500)
        assert answer.headers["Cache-Control"] == "public, max-age=2"
        assert (await room.get(signed(ROOM).replace(ROOM, "named"))).status == 403
        said = json.loads((await room.get(signed("private"))).body)
        assert (said["private"], said["live"], said["title"]) == (True, False, "Secret")
        assert json.loads((await room.get(signed("named"))).body)["private"] is False


async def test_of_a_private_take_nothing_is_told_also_when_its_room_has_become_public(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECORDS, ROOM, RoomRecord(title="Open"))
    async with running(replace(settings(), private=True), clock=site.clock, rooms=site.rooms) as room:
        before = (await room.get(f"/listen/{ROOM}.json")).body
        await room.begin()
        await room.feed((1, 0))
        site.hear(500)
        assert (await room.get(f"/listen/{ROOM}.json")).body == before
        assert json.loads(before)["live"] is False


async def test_a_room_that_became_private_after_its_take_is_private_although_that_was_not(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys({"k": SECRET.encode()})
    async with running(clock=site.clock, token=SECRET, keys=keys, rooms=site.rooms) as room:
        room.session.headers["Authorization"] = f"Bearer {SECRET}"
        await room.begin()
        await room.feed((3, 2))
        assert (await end(room, samples_to((3, 2)))).status == 201
        monkeypatch.setitem(RECORDS, ROOM, RoomRecord(title="Closed", visibility="private"))
        signed = listen_path(keys.listen.sign(ROOM, int(time.time()) + 60)) + f"/listen/{ROOM}.json"
        said = json.loads((await room.get(signed)).body)
        assert (said["live"], said["take"], said["private"]) == (False, TAKE, True)


async def test_a_room_that_grows_and_shrinks_moves(room: RunningOrigin, site: Site) -> None:
    await tell(room, {"tier": "edge", "rooms": {ROOM: 100}})
    assert [(await told(room))[member] for member in ("tier", "bases")] == [
        "edge",
        ["http://e1", "http://e2"],
    ]
    await tell(room, {"tier": "cdn", "rooms": {ROOM: 1000}}, "c1")
    said = await told(room)
    assert (said["tier"], said["bases"], said["ask_again"]) == ("cdn", ["http://c"], 20)

    def few() -> None:
        site.hear(0)
        site.hear(3, Tier.CDN, "c1")

    site.pass_time(CALM_SECONDS, few)
    assert (await told(room))["tier"] == "cdn"
    site.pass_time(2, few)
    assert (await told(room))["tier"] == "origin"


async def test_an_edge_that_falls_silent_calls_no_listeners_back(room: RunningOrigin, site: Site) -> None:
    site.hear(200, name="e2")
    site.hear(10)
    assert site.tier() is Tier.EDGE
    site.pass_time(3 * CALM_SECONDS, lambda: site.hear(10))
    assert (site.whereabouts.listeners(ROOM), (await told(room))["tier"]) == (10, "edge")

    def both() -> None:
        site.hear(10)
        site.hear(0, name="e2")

    site.pass_time(CALM_SECONDS + 2, both)
    assert (await told(room))["tier"] == "origin"


async def test_the_highest_tier_that_an_origin_sees_is_in_force(room: RunningOrigin, site: Site) -> None:
    site.others = [Headcount(tiers={ROOM: Tier.EDGE}), Headcount()]
    assert site.tier() is Tier.EDGE
    site.others.append(Headcount(tiers={ROOM: Tier.CDN}))
    assert site.tier() is Tier.CDN
    assert (await told(room))["tier"] == "cdn"


async def test_origins_that_believe_each_other_go_down_all_the_same(room: RunningOrigin, site: Site) -> None:
    """Each states what it sees itself: what others state holds a room up, and does not convince."""
    site.pass_time(LEARN_SECONDS + 1)
    site.others = [Headcount(tiers={ROOM: Tier.CDN})]
    site.pass_time(10)
    assert site.tier() is Tier.CDN
    assert site.whereabouts.headcount().tiers == {}
    site.others = []
    assert site.tier() is Tier.ORIGIN


async def test_an_origin_that_was_restarted_learns_from_others_where_its_rooms_are(
    room: RunningOrigin, site: Site
) -> None:
    site.others = [Headcount(tiers={ROOM: Tier.CDN})]
    site.pass_time(LEARN_SECONDS)
    # Now the other one is restarted.
    site.others = []
    site.pass_time(5 * CALM_SECONDS)
    assert site.tier() is Tier.CDN


async def test_an_origin_that_was_restarted_alone_remembers() -> None:
    site = Site({KEY: Tier.EDGE, TakeKey("other", TAKE): Tier.CDN})
    async with running(clock=site.clock, rooms=site.rooms) as room:
        await room.begin()
        await room.feed((1, 0))
        assert site.tier() is Tier.EDGE
        assert site.whereabouts.standing() == {KEY: Tier.EDGE}
    later = Site({TakeKey(ROOM, "20251231T000000Z-abc234"): Tier.CDN})
    async with running(clock=later.clock, rooms=later.rooms) as room:
        await room.begin()
        await room.feed((1, 0))
        assert later.tier() is Tier.ORIGIN


async def test_listeners_of_all_origins_make_a_room_large(room: RunningOrigin, site: Site) -> None:
    told_both = {"e1": EdgeReport(Tier.EDGE, {ROOM: 60})}
    site.hear(60)
    site.others = [Headcount({ROOM: 39}, told_both)]
    assert (site.whereabouts.listeners(ROOM), site.tier()) == (99, Tier.ORIGIN)
    site.others = [Headcount({ROOM: 100}, told_both)]
    assert site.tier() is Tier.EDGE


async def test_a_crowd_whose_take_has_ended_waits_for_the_next_where_it_is(
    room: RunningOrigin, site: Site
) -> None:
    site.hear(2000, Tier.CDN, "c1")
    assert site.tier() is Tier.CDN
    # Some leave before the end: that they were few is not held against the next take.
    site.pass_time(CALM_SECONDS - 5, lambda: site.hear(3, Tier.CDN, "c1"))
    assert (await end(room, samples_to((3, 2)))).status == 201
    site.pass_time(5 * CALM_SECONDS, lambda: site.hear(0, Tier.CDN, "c1"))
    said = await told(room)
    assert (said["live"], said["tier"], said["bases"]) == (False, "cdn", ["http://c"])
    assert site.whereabouts.headcount().tiers == {ROOM: Tier.CDN}
    assert site.whereabouts.standing() == {KEY: Tier.CDN}
    later = TakeKey(ROOM, "20270101T000000Z-abc234")
    begun = await room.request("PUT", f"/publish/{ROOM}/{later.take}/take.json", data=NEXT)
    assert begun.status == 201

    def few() -> None:
        site.hear(0)
        site.hear(3, Tier.CDN, "c1")

    site.pass_time(CALM_SECONDS - 2, few)
    assert site.tier() is Tier.CDN
    site.pass_time(5, few)
    assert site.tier() is Tier.ORIGIN


async def test_when_its_take_has_left_the_window_a_room_begins_small_again(
    room: RunningOrigin, site: Site
) -> None:
    site.hear(500)
    assert site.tier() is Tier.EDGE
    assert (await end(room, samples_to((3, 2)))).status == 201
    room.origin.discard(room.origin.takes.known(KEY))
    site.pass_time(CALM_SECONDS + 2)
    assert site.whereabouts.headcount().tiers == {}
    assert site.tier() is Tier.ORIGIN
