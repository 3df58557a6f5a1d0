"""The cache policy: one table from the kind of a resource to its `Cache-Control`, one for errors.

Whatever an answer's kind is, its header comes from here and from nowhere else. The kinds are also the
values of `kind` in `longwave_http_requests_total`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What an answer is, as far as caches care."""

    INIT = "init"
    SEGMENT = "segment"
    PART = "part"
    BLOCKING_PLAYLIST = "blocking_playlist"
    PLAYLIST = "playlist"
    MULTIVARIANT = "multivariant"
    ENDED_PLAYLIST = "ended_playlist"
    REPLAY = "replay"
    HIDDEN_REPLAY = "hidden_replay"
    FEED = "feed"
    LOBBY = "lobby"
    PAGE = "page"
    STATUS = "status"
    PREFLIGHT = "preflight"
    PUBLISH = "publish"


_FOR_EVER: Final = "public, max-age=31536000, immutable"
_BRIEFLY: Final = "public, max-age=1"
_NEVER: Final = "no-store"

CACHE_CONTROL: Final[Mapping[Kind, str]] = {
    # No media URL is ever reused: take ids are not, and neither are sequence numbers.
    Kind.INIT: _FOR_EVER,
    Kind.SEGMENT: _FOR_EVER,
    Kind.PART: _FOR_EVER,
    # rfc8216bis 6.2.5.2: a blocking answer may be kept for six target durations: its URL names its content.
    Kind.BLOCKING_PLAYLIST: "public, max-age=12",
    # Shorter than half a target duration, so that a cache never makes a player stall.
    Kind.PLAYLIST: _BRIEFLY,
    Kind.MULTIVARIANT: _BRIEFLY,
    Kind.ENDED_PLAYLIST: "public, max-age=60",
    # What is kept of a take: a host may edit, unpublish or delete it.
    Kind.REPLAY: "public, max-age=60",
    # The same, of a replay that is not published, for its host.
    Kind.HIDDEN_REPLAY: _NEVER,
    Kind.FEED: "public, max-age=60",
    Kind.LOBBY: _BRIEFLY,
    # Pages change with a release: kept, but asked about (ETag).
    Kind.PAGE: "no-cache",
    Kind.STATUS: _NEVER,
    Kind.PREFLIGHT: "public, max-age=86400",
    Kind.PUBLISH: _NEVER,
}

# A no-store error on a hot URL stops caches from collapsing it, and the origin meets the whole crowd at once.
_COLLAPSIBLE_ERRORS: Final = frozenset({400, 404, 500, 503})


def error_cache_control(status: int) -> str:
    """The `Cache-Control` of an error: a second where a crowd may meet it, `no-store` for all else."""
    return _BRIEFLY if status in _COLLAPSIBLE_ERRORS else _NEVER
