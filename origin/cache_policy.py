"""The cache policy: one table from the kind of a resource to what caches are told, one for errors.

`Cache-Control` is for everybody; `CDN-Cache-Control` (RFC 9213) is for CDNs that know it, in its place.
Others go by the first, so both say the same, but for what only a CDN does: answer when it should ask.

Whatever an answer's kind is, its header comes from here and from nowhere else. The kinds are also the
values of `kind` in `longwave_http_requests_total`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from contracts.http import cdn_fields


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
    SIGNED_FEED = "signed_feed"
    LOBBY = "lobby"
    LISTEN = "listen"
    PAGE = "page"
    STATUS = "status"
    PREFLIGHT = "preflight"
    PUBLISH = "publish"


class Row(NamedTuple):
    """What caches are told of one kind; `cdn` is empty where CDNs go by `Cache-Control` too."""

    cache_control: str
    cdn: Mapping[str, str] = MappingProxyType({})


def _strictly(cache_control: str) -> Row:
    """A row that no CDN may stretch."""
    return Row(cache_control, cdn_fields(cache_control))


_FOR_EVER: Final = "public, max-age=31536000, immutable"
_BRIEFLY: Final = "public, max-age=1"
_NEVER: Final = "no-store"

_TABLE: Final[Mapping[Kind, Row]] = {
    # No media URL is ever reused: take ids are not, and neither are sequence numbers.
    Kind.INIT: Row(_FOR_EVER),
    Kind.SEGMENT: Row(_FOR_EVER),
    Kind.PART: Row(_FOR_EVER),
    # rfc8216bis 6.2.5.2: a blocking answer may be kept for six target durations: its URL names its content.
    Kind.BLOCKING_PLAYLIST: _strictly("public, max-age=12"),
    # Shorter than half a target duration, so that a cache never makes a player stall; nor may a stale one.
    Kind.PLAYLIST: _strictly(_BRIEFLY),
    Kind.MULTIVARIANT: _strictly(_BRIEFLY),
    Kind.ENDED_PLAYLIST: Row("public, max-age=60"),
    # What is kept of a take: a host may edit, unpublish or delete it.
    Kind.REPLAY: Row("public, max-age=60"),
    # The same, of a replay that is not published, for its host.
    Kind.HIDDEN_REPLAY: Row(_NEVER),
    Kind.FEED: Row("public, max-age=60"),
    # The same at a signed path: the one answer that holds a listen token.
    Kind.SIGNED_FEED: Row("private, no-store"),
    Kind.LOBBY: _strictly(_BRIEFLY),
    # Who is told to move a moment late moves a moment late.
    Kind.LISTEN: _strictly("public, max-age=2"),
    # Pages change with a release: kept, but asked about (ETag). A CDN asks once for all who do so within ten
    # seconds; for so long after a release some get the page before, whole or in part.
    Kind.PAGE: Row("no-cache", {"CDN-Cache-Control": "max-age=10"}),
    Kind.STATUS: Row(_NEVER),
    Kind.PREFLIGHT: Row("public, max-age=86400"),
    Kind.PUBLISH: Row(_NEVER),
}

CACHE_CONTROL: Final[Mapping[Kind, str]] = {kind: row.cache_control for kind, row in _TABLE.items()}
_FIELDS: Final[Mapping[Kind, Mapping[str, str]]] = {
    kind: MappingProxyType({"Cache-Control": row.cache_control, **row.cdn}) for kind, row in _TABLE.items()
}


def cache_fields(kind: Kind) -> Mapping[str, str]:
    """The header fields by which caches are told how long to keep what is of this kind."""
    return _FIELDS[kind]


# A no-store error on a hot URL stops caches from collapsing it, and the origin meets the whole crowd at once.
# Of media that comes within that second nobody is told that it is not there: `pipeline/window/locate.py`.
_COLLAPSIBLE_ERRORS: Final = frozenset({400, 404, 500, 503})


def error_cache_control(status: int) -> str:
    """The `Cache-Control` of an error: a second where a crowd may meet it, `no-store` for all else."""
    return _BRIEFLY if status in _COLLAPSIBLE_ERRORS else _NEVER
