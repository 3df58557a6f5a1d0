"""Where everything lies in a storage: the names, and what each kind of object is.

rooms/{room}/room.json                        the room, as its host wants it
rooms/{room}/{take}/story.json                what happened, by the take's owner, at its end
rooms/{room}/{take}/{rendition}/init.mp4      the CMAF header
rooms/{room}/{take}/{rendition}/{msn}.mp4     a fragment: 15 segments from one divisible by 15 on
rooms/{room}/{take}/{rendition}/{msn}-{sha256}.mp4  parts that it lacked, then the fragment joined of both
rooms/{room}/{take}/take.json                 the commit mark: the story, gaps, digests of all fragments
rooms/{room}/{take}/meta.json                 what a host may change, and the tombstone
rooms/{room}/{take}/replay.m4a, replay.m3u8, chapters.json, peaks.json, {rendition}/replay.m3u8
rooms/{room}/{take}/derived.json              the digests of these
open/{room}/{take}                            a take that is not finished, or is to be derived again
replays/{room}/{take}                         an entry of the catalogue: a replay that is there
deleted/{room}/{take}                         a take that was deleted a short while ago
"""

from __future__ import annotations

from typing import Final

from contracts.errors import BadRequest
from contracts.ids import check_room, check_take
from contracts.take import TakeKey

FRAGMENT_SEGMENTS: Final = 15
"""Segments of an archived fragment, 30 s: one PUT per segment would cost as much as a year's keeping."""
PIECE_DIGITS: Final = 16
"""Of a SHA-256 in hex, in the name of a piece."""
STORY: Final = "story.json"
RECORD: Final = "take.json"
META: Final = "meta.json"
DERIVED: Final = "derived.json"
REPLAY_M4A: Final = "replay.m4a"
REPLAY_M3U8: Final = "replay.m3u8"
CHAPTERS: Final = "chapters.json"
PEAKS: Final = "peaks.json"
INIT: Final = "init.mp4"
ROOMS: Final = "rooms/"
OPEN: Final = "open/"
REPLAYS: Final = "replays/"
DELETED: Final = "deleted/"
_TYPES: Final = {
    "mp4": "audio/mp4",
    "m4a": "audio/mp4",
    "m3u8": "application/vnd.apple.mpegurl",
}


def room_name(room: str) -> str:
    """The record of a room. Raises BadRequest where no room is called so."""
    return f"{ROOMS}{check_room(room)}/room.json"


def take_prefix(key: TakeKey) -> str:
    """What the names of all objects of a take begin with. Raises BadRequest where no take is called so."""
    return f"{ROOMS}{check_room(key.room)}/{check_take(key.take)}/"


def take_object(key: TakeKey, name: str) -> str:
    """One of a take's objects: `take_object(key, RECORD)`, `take_object(key, f"{rendition}/{INIT}")`."""
    return take_prefix(key) + name


def fragment_of(msn: int) -> int:
    """The first segment of the fragment that holds segment `msn`."""
    return msn - msn % FRAGMENT_SEGMENTS


def fragment_name(key: TakeKey, rendition: str, first_msn: int) -> str:
    """The fragment of a rendition that begins with `first_msn`, or would if that segment is missing."""
    return f"{take_prefix(key)}{rendition}/{first_msn}.mp4"


def piece_name(key: TakeKey, rendition: str, first_msn: int, sha256: str) -> str:
    """Where other bytes of a fragment lie beside those that came first: named by what they are."""
    return f"{take_prefix(key)}{rendition}/{first_msn}-{sha256[:PIECE_DIGITS]}.mp4"


def open_name(key: TakeKey) -> str:
    """The mark of a take that is not finished."""
    return f"{OPEN}{check_room(key.room)}/{check_take(key.take)}"


def entry_name(key: TakeKey) -> str:
    """The take's entry in the catalogue."""
    return f"{REPLAYS}{check_room(key.room)}/{check_take(key.take)}"


def deleted_name(key: TakeKey) -> str:
    """The mark of a take that was deleted: whatever a straggler still writes of it is found by this."""
    return f"{DELETED}{check_room(key.room)}/{check_take(key.take)}"


def key_of(name: str) -> TakeKey | None:
    """The take of an `open/…`, `replays/…` or `deleted/…` name; None for what is no such name."""
    _, _, rest = name.partition("/")
    room, _, take = rest.partition("/")
    try:
        return TakeKey(check_room(room), check_take(take))
    except BadRequest:
        return None


def content_type(name: str) -> str:
    """What an object is, by its name."""
    if name.endswith(f"/{CHAPTERS}"):
        return "application/json+chapters"
    return _TYPES.get(name.rpartition(".")[2], "application/json")
