"""Every address of a replay, who asks for them, and what each is told."""

from __future__ import annotations

from contracts.take import TakeHeader, TakeKey
from tests.origins import settings
from tests.replay_site import KEY, TOKEN, Serving, bearer
from tests.takes import EPOCH_US

JSON = "application/json"
PLAYLIST = "application/vnd.apple.mpegurl"
TYPES = {
    ".m4a": "audio/mp4",
    "64k/0.mp4": "audio/mp4",
    "64k/init.mp4": "audio/mp4",
    "index.m3u8": PLAYLIST,
    "64k/index.m3u8": PLAYLIST,
    "chapters.json": "application/json+chapters",
    "peaks.json": JSON,
    "take.json": JSON,
}
TEXTS = [path for path, kind in TYPES.items() if kind != "audio/mp4"]
STRANGERS = {
    "nobody": {},
    "a guess": {"Authorization": "Bearer guess"},
    "another scheme": {"Authorization": "Basic YTpi"},
    "no token at all": {"Authorization": "Bearer"},
    "speaker": bearer("speaker"),
    "worker": bearer("publish", None),
    "host of another room": bearer("host", "elsewhere"),
    "admin of another room": bearer("admin", "elsewhere"),
}
HOSTS = {
    "the token": {"Authorization": f"Bearer {TOKEN}"},
    "admin": bearer("admin", None),
    "admin of this room": bearer("admin"),
    "host": bearer("host"),
}


def live(site: Serving, key: TakeKey = KEY) -> None:
    site.origin.put_take(key, TakeHeader(EPOCH_US, settings(), "0" * 64))
