"""What is private, at an origin: there for who comes through a signed path, and nowhere for all others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from contracts.access import ACCESS, SIGNED
from contracts.take import TakeHeader, TakeKey, TakeSettings
from contracts.tokens import Keys, TokenGate
from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from storage.names import META, entry_name, open_name, take_object
from tests.private_room import GOOD, LIVE, PAST, SOON, Two, _fields, private_room, put_live
from tests.replay_site import KEY, KEYS, TOKEN, Kept, bearer, keep, serving
from tests.takes import EPOCH_US

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
