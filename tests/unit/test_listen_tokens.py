"""Listen tokens, and the documents that say that a take is private."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import BadRequest, Forbidden, ObjectDamaged, UsageError
from contracts.listen import (
    ListenKeys,
    ListenRefused,
    listen_expiry,
    listen_key,
    listen_path,
    listen_token,
    without_listen_token,
)
from contracts.take import TakeHeader, TakeKey, TakeSettings
from contracts.tokens import Keys, TokenGate
from longwave.token import Wanted, made
from origin.contents import header_of, header_record
from storage.commit import TakeCommit
from storage.documents import from_bytes, to_bytes
from storage.entry import ReplayEntry
from storage.room_record import RoomRecord
from storage.take_record import TakeRecord, take_record
from tests.feeds import entry
from workers.take_memo import TakeMemo
from workers.take_store import Reservation, TakeStore

SECRET = b"of-thirty-two-bytes-at-the-least"
KEYS = Keys({"k": SECRET})
NOW = 1_800_000_000
TAKE = TakeKey("room", "20260101T000000Z-abc234")
HEADER = TakeHeader(1, TakeSettings(private=True), "f")


# ---- tokens --------------------------------------------------------------------------------------------


def refused(token: str, room: str = "room", now: float = NOW, keys: ListenKeys = KEYS.listen) -> str:
    """Why a token does not let in, as it is counted; the reason holds nothing of the token."""
    with pytest.raises(ListenRefused) as found:
        keys.check(token, room, now)
    assert isinstance(found.value, Forbidden)
    assert not [piece for piece in token.split(".") if len(piece) > 3 and piece in found.value.message]
    return found.value.outcome


def test_a_token_is_what_anybody_with_the_key_can_reckon() -> None:
    key = hmac.new(SECRET, b"longwave listen key", hashlib.sha256).hexdigest()
    mac = hmac.new(key.encode(), b"k.1800000060.room", hashlib.sha256).hexdigest()
    assert KEYS.listen.sign("room", NOW + 60) == f"k.1800000060.{mac}"
    assert KEYS.listen.by_kid == {"k": key}


def test_a_token_lets_into_its_room_until_it_ends() -> None:
    token = KEYS.listen.sign("room", NOW)
    KEYS.listen.check(token, "room", NOW - 0.001)
    assert refused(token) == "expired"
    assert refused(token, "other", NOW - 1) == "forged"
    # Whoever has no right is not told that it would have ended.
    assert refused(token, "other", NOW + 1) == "forged"


def test_a_token_that_anything_was_changed_of_lets_nobody_in() -> None:
    token = KEYS.listen.sign("room", NOW + 60)
    kid, expiry, mac = token.split(".")
    longer = f"{kid}.{int(expiry) + 60}.{mac}"
    assert refused(longer) == refused(f"{kid}.{expiry}.{'0' * 64}") == "forged"
    for nonsense in (
        "",
        "k",
        "..",
        f"{kid}.{expiry}",
        f"{kid}.{expiry}.{mac}.",
        f"{kid}.{expiry}.{mac.upper()}",
        f"{kid}.0{expiry}.{mac}",
        f"{kid}.+{expiry}.{mac}",
        f"{kid}.{expiry}.{mac[:-1]}",
        f"{kid}.{expiry}.{mac}\n",
        f" {token}",
        f"other.{expiry}.{mac}",
    ):
        assert refused(nonsense) == "unknown", nonsense


def test_a_key_is_replaced_while_both_let_in() -> None:
    old, new = Keys({"2025.12": SECRET}), b"n" * 32
    both = Keys({"2026.01": new, "2025.12": SECRET})
    for keys in (old, both):
        both.listen.check(keys.listen.sign("room", NOW + 60), "room", NOW)
    assert both.listen.sign("room", NOW + 60).startswith("2026.01.1800000060.")
    assert refused(old.listen.sign("room", NOW + 60), keys=Keys({"2026.01": new}).listen) == "unknown"
    # One kid, another secret.
    assert refused(old.listen.sign("room", NOW + 60), keys=Keys({"2025.12": new}).listen) == "forged"


def test_the_key_of_edges_makes_no_other_tokens() -> None:
    given = KEYS.listen.by_kid["k"]
    assert given != SECRET.decode()
    assert listen_key(given.encode()) != given
    with pytest.raises(TypeError):
        KEYS.listen.by_kid["k"] = "x"  # type: ignore[index]


def test_where_everything_is_open_no_token_lets_in() -> None:
    with pytest.raises(ListenRefused, match="not known"):
        TokenGate().check_listen(KEYS.listen.sign("room", NOW + 60), "room")


@pytest.mark.parametrize(
    ("now", "seconds", "latest", "expires"),
    [
        (1200.0, 600, None, 1800),
        (1200.9, 600, None, 1800),
        (1201.0, 600, None, 1860),
        (1201.0, 1, None, 1260),
        (1201.0, 600, 1803.5, 1803),
        (1201.0, 600, 1e12, 1860),
    ],
)
def test_tokens_end_with_a_minute_and_never_after_what_they_were_asked_for_with(
    now: float, seconds: int, latest: float | None, expires: int
) -> None:
    assert listen_expiry(now, seconds, latest) == expires


def test_a_path_is_logged_without_its_token() -> None:
    token = KEYS.listen.sign("room", NOW)
    path = f"{listen_path(token)}/live/room/index.m3u8"
    assert path.startswith("/p/k.1800000000.")
    assert listen_token(listen_path(token)) == token
    assert without_listen_token(path) == "/p/…/live/room/index.m3u8"
    assert without_listen_token(listen_path(token)) == "/p/…"
    assert without_listen_token("/live/p/20260101T000000Z-abc234") == "/live/p/20260101T000000Z-abc234"


# ---- the command -------------------------------------------------------------------------------------------


def test_the_command_makes_paths_and_tells_edges_their_keys() -> None:
    (path,) = made(KEYS, Wanted(room="room", good_for="10m", listen=True), NOW)
    assert path == listen_path(KEYS.listen.sign("room", NOW + 600))
    both = Keys({"new": b"n" * 32, "k": SECRET})
    assert [*made(both, Wanted(edge_keys=True), NOW)] == [
        f"new {listen_key(b'n' * 32)}",
        f"k {listen_key(SECRET)}",
    ]
    (invitation,) = made(KEYS, Wanted("listener", "room", good_for="3h"), NOW)
    grant = KEYS.verify(invitation, NOW)
    assert (grant.role, grant.room, grant.expires) == ("listener", "room", NOW + 3 * 3600)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted(), "one of --role, --listen and --edge-keys"),
        (Wanted("host", "room", listen=True), "one of"),
        (Wanted(listen=True, edge_keys=True), "one of"),
        (Wanted(listen=True), "--room"),
        (Wanted(room="a b", listen=True), "room id"),
        (Wanted(room="room", listen=True, good_for="367d"), "366d"),
        (Wanted("listener"), "--room"),
    ],
)
def test_the_command_says_what_is_wrong(wanted: Wanted, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        list(made(KEYS, wanted, NOW))


# ---- what says that a take is private ----------------------------------------------------------------------


def test_a_private_take_says_so_in_every_document_of_it(tmp_path: Path) -> None:
    assert TakeHeader.from_json(HEADER.to_json()) == HEADER
    memo = TakeMemo(HEADER, 3)
    assert TakeMemo.from_fields(memo.to_fields()) == memo
    assert header_of(header_record(HEADER)) == HEADER
    store = TakeStore(tmp_path)
    store.create(TAKE, HEADER, Reservation(1)).close()
    assert [stored.header for stored in store.stored()] == [HEADER]
    story = take_record(TAKE, HEADER, 10, ())
    assert TakeRecord.from_json(story.to_json()) == story
    commit = TakeCommit(story, (), {})
    assert TakeCommit.from_json(json.loads(to_bytes(commit.to_json()))).story.header == HEADER
    listed = replace(entry(), private=True)
    assert ReplayEntry.from_json(listed.to_json()) == listed


def test_public_takes_say_nothing_and_documents_from_before_are_public() -> None:
    public = TakeHeader(1, TakeSettings(), "f")
    assert "private" not in public.to_json()
    assert "private" not in take_record(TAKE, public, 10, ()).to_json()
    assert "private" not in entry().to_json()
    assert not TakeHeader.from_json(public.to_json()).settings.private
    assert not ReplayEntry.from_json(entry().to_json()).private
    assert public != replace(public, settings=TakeSettings(private=True))


@pytest.mark.parametrize("word", [None, "no", 0, 1, []])
def test_what_is_neither_private_nor_public_is_refused(word: object) -> None:
    with pytest.raises(BadRequest, match="private"):
        TakeHeader.from_json({**HEADER.to_json(), "private": word})
    for data, read in (
        (take_record(TAKE, HEADER, 10, ()).to_json(), TakeRecord.from_json),
        (entry().to_json(), ReplayEntry.from_json),
    ):
        with pytest.raises(ObjectDamaged):
            from_bytes("it", to_bytes({**data, "private": word}), read)


def test_a_private_rooms_next_take_is_private() -> None:
    room = RoomRecord.from_json({"visibility": "private", "parts": 10})
    assert room.take_settings == TakeSettings(parts=10, private=True)
    assert RoomRecord.from_json(room.to_json()) == room
    assert not replace(room, visibility="unlisted").take_settings.private
    with pytest.raises(BadRequest, match="public, unlisted, private"):
        RoomRecord.from_json({"visibility": "secret"})
