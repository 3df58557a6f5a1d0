"""Addresses of private rooms with good and bad tokens, for whatever checks them before a cache."""

from __future__ import annotations

import time
from typing import Final

from contracts.listen import ListenKeys, listen_key

TAKE: Final = "20260131T200000Z-abc234"
LIVE: Final = f"live/room/{TAKE}/64k/index.m3u8"
KEYS: Final = {"new.2026": listen_key(b"one"), "old": listen_key(b"other")}
_SOON: Final = int(time.time()) + 600
_PAST: Final = int(time.time()) - 1


def token(kid: str = "new.2026", room: str = "room", expires: int = _SOON) -> str:
    """A token; of a kid that is not there, one that is signed with an empty key."""
    return ListenKeys({kid: KEYS.get(kid, "")}).sign(room, expires)


GOOD: Final = [
    f"/p/{token()}/{LIVE}",
    f"/p/{token('old')}/{LIVE}",
    f"/p/{token()}/live/room/index.m3u8",
    f"/p/{token()}/live/room/{TAKE}/64k/3.1.m4s",
    f"/p/{token()}/replay/room/{TAKE}.m4a",
    f"/p/{token()}/replay/room/{TAKE}/chapters.json",
    f"/p/{token()}/listen/room.json",
    f"/p/{token()}/feeds/room.xml",
    f"/p/{token(room='a-room_2')}/live/a-room_2/index.m3u8",
]
BAD: Final = [
    f"/p/{token(expires=_PAST)}/{LIVE}",
    f"/p/{token(room='other')}/{LIVE}",
    f"/p/{token()}/live/other/index.m3u8",
    f"/p/{token()}/replay/other/{TAKE}.m4a",
    f"/p/{token()}/listen/other.json",
    f"/p/{token()}/feeds/other.xml",
    # Another kid's key; a kid that is not there, checked with an empty key; members of all objects.
    f"/p/{token().replace('new.2026', 'old', 1)}/{LIVE}",
    f"/p/{token('gone')}/{LIVE}",
    f"/p/{ListenKeys({'__proto__': '[object Object]'}).sign('room', _SOON)}/{LIVE}",
    f"/p/{ListenKeys({'constructor': 'function Object() { [native code] }'}).sign('room', _SOON)}/{LIVE}",
    f"/p/{token()[:-1]}/{LIVE}",
    f"/p/{token()[:-1]}{'1' if token()[-1] == '0' else '0'}/{LIVE}",
    f"/p/{token().upper()}/{LIVE}",
    f"/p/{token()}0/{LIVE}",
    f"/p/{token().replace(str(_SOON), '0' + str(_SOON))}/{LIVE}",
    f"/p/{token().replace(str(_SOON), str(_SOON + 60))}/{LIVE}",
    f"/p/{token()}/metrics",
    f"/p/{token()}/publish/room/{TAKE}",
    f"/p/{token()}/live/room",
    f"/p/x/{LIVE}",
    f"/p/{LIVE}",
    "/p/",
]
QUERIES: Final = [
    ("_HLS_msn=5&_HLS_part=2", "_HLS_msn=5&_HLS_part=2"),
    ("_HLS_part=2&_HLS_msn=5", "_HLS_msn=5&_HLS_part=2"),
    ("utm=x&_HLS_skip=YES&_HLS_msn=5&_HLS_x=1", "_HLS_msn=5&_HLS_skip=YES"),
    ("_HLS_msn=5&_HLS_msn=6", "_HLS_msn=5&_HLS_msn=6"),
    ("", ""),
]
"""What is asked, and what an origin should be asked."""
