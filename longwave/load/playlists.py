"""What a listener reads of playlists. A crowd gets the same few again and again: each is parsed once."""

from __future__ import annotations

import re
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import m3u8
from yarl import URL

from contracts.errors import UsageError
from longwave.load.base import Base, base_of
from longwave.load.http_client import Answer

_KEPT: Final = 512
_ENCODINGS: Final[Mapping[bytes, int]] = {b"gzip": 31, b"x-gzip": 31, b"deflate": 47}
# A playlist of a day in segments of 2 s, uncompressed. More is no playlist.
_MOST_TEXT: Final = 16 * 2**20
_TARGETS_HELD_BACK: Final = 3
# A file beside the playlist, by far the most of all: nothing has to be resolved.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


class Place(NamedTuple):
    """Where something is asked for: `path` with its query; `base` None is where the playlist was."""

    path: bytes
    base: Base | None = None


class Piece(NamedTuple):
    """Something to fetch and play. `part` is 0 for a whole segment; `date` is its start, unix seconds."""

    msn: int
    part: int
    seconds: float
    place: Place
    kind: str
    date: float | None
    gap: bool

    @property
    def key(self) -> tuple[int, int]:
        """Its place in the order of all."""
        return (self.msn, self.part)


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist as a listener sees it; seconds throughout.

    `segments` are whole segments, `pieces` the same with parts in the place of segments wherever they are
    listed. `next` is what follows all of it, as (msn, part); `blocks`: one may wait for that.
    """

    target: float
    hold_back: float
    part_target: float | None
    part_hold_back: float | None
    skip_until: float | None
    segments: tuple[Piece, ...]
    pieces: tuple[Piece, ...]
    hint: tuple[tuple[int, int], Place] | None
    init: Place | None
    next: tuple[int, int]
    blocks: bool
    ended: bool

    @property
    def edge_date(self) -> float | None:
        """The instant at which what is listed ends, unix seconds."""
        if not self.pieces or self.pieces[-1].date is None:
            return None
        return self.pieces[-1].date + self.pieces[-1].seconds

    def start(self, *, low_latency: bool) -> tuple[int, float]:
        """Where a listener begins: an index of what it plays, and how far into it (rfc8216bis 6.3.3)."""
        pieces = self.pieces if low_latency else self.segments
        left = (self.part_hold_back if low_latency else None) or self.hold_back
        if self.ended:
            return 0, 0.0
        for index in range(len(pieces) - 1, -1, -1):
            left -= pieces[index].seconds
            if left <= 0:
                return index, -left
        return 0, 0.0

    def after(self, key: tuple[int, int], *, low_latency: bool) -> tuple[Piece, ...]:
        """What is to be played from `key` on."""
        pieces = self.pieces if low_latency else self.segments
        index = len(pieces)
        while index and pieces[index - 1].key >= key:
            index -= 1
        return pieces[index:]

    def directives(self, *, skip: bool) -> bytes:
        """The query of a blocking reload for what comes next (6.2.5.2); in the order that caches like."""
        msn, part = self.next
        at = f"_HLS_msn={msn}" if self.part_target is None else f"_HLS_msn={msn}&_HLS_part={part}"
        return (at + ("&_HLS_skip=YES" if skip else "")).encode()


@dataclass(frozen=True, slots=True)
class Variants:
    """A multivariant playlist: the first variant is what players begin with; bits a second."""

    place: Place
    bandwidth: int


Playlist = MediaPlaylist | Variants


class PlaylistCache:
    """Parsed playlists, by where they were and what they held."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, bytes], Playlist | None] = OrderedDict()
        self.parsed = 0

    def read(self, base: Base, path: bytes, answer: Answer) -> Playlist | None:
        """What an answer to `path` says, or None where it says nothing that could be played."""
        # A strong ETag names the bytes; where there is none, the bytes are their own name.
        etag = answer.field(b"etag")
        key = (path, etag or answer.body)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        self.parsed += 1
        playlist = parse(base, path, _text(answer))
        self._known[key] = playlist
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return playlist


def _text(answer: Answer) -> str:
    """The body as text; empty where it cannot be read."""
    bits = _ENCODINGS.get(answer.field(b"content-encoding").lower())
    body = answer.body
    if bits is not None:
        try:
            body = zlib.decompressobj(bits).decompress(body, _MOST_TEXT)
        except zlib.error:
            return ""
    return body.decode(errors="replace")


def parse(base: Base, path: bytes, text: str) -> Playlist | None:
    """A playlist that was at `path` of `base`, or None for what is not one."""
    if not text.startswith("#EXTM3U"):
        return None
    here = URL(str(base)).join(URL(path.decode(), encoded=True))
    try:
        found = m3u8.parse(text)
        if found["is_variant"]:
            first = found["playlists"][0]
            return Variants(_place(here, first["uri"]), int(first["stream_info"].get("bandwidth", 0)))
        return _media(here, found)
    # What is said in the wrong form makes the library trip in any of these ways.
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, UsageError):
        return None


def _place(here: URL, uri: str) -> Place:
    if _PLAIN_NAME.fullmatch(uri):
        return Place(here.raw_path.rpartition("/")[0].encode() + b"/" + uri.encode())
    there = here.join(URL(uri, encoded=True))
    base = base_of(there)
    return Place(there.raw_path_qs.encode(), None if base == base_of(here) else base)


def _media(here: URL, found: dict[str, Any]) -> MediaPlaylist:
    target = float(found["targetduration"])
    control = found.get("server_control") or {}
    part_target = (found.get("part_inf") or {}).get("part_target")
    first = int(found["media_sequence"]) + int((found.get("skip") or {}).get("skipped_segments") or 0)
    segments: list[Piece] = []
    pieces: list[Piece] = []
    following = (first, 0)
    date: float | None = None
    for msn, segment in enumerate(found["segments"], first):
        if date is None or segment.get("discontinuity"):
            date = _told(segment)
        parts = _parts(here, msn, segment, date)
        if segment.get("uri"):
            whole = _segment(here, msn, segment, date)
            segments.append(whole)
            pieces += parts or [whole]
            following = (msn + 1, 0)
            date = None if date is None else date + whole.seconds
        elif parts:
            pieces += parts
            following = (msn, len(parts))
    hint = found.get("preload_hint")
    # Only a whole part can be asked for ahead; ranges of a growing one would need its end.
    hinted = hint is not None and hint.get("type") == "PART" and "byterange_start" not in hint
    maps = found["segment_map"]
    return MediaPlaylist(
        target=target,
        hold_back=float(control.get("hold_back") or _TARGETS_HELD_BACK * target),
        part_target=part_target,
        part_hold_back=control.get("part_hold_back"),
        skip_until=control.get("can_skip_until"),
        segments=tuple(segments),
        pieces=tuple(pieces),
        hint=(following, _place(here, hint["uri"])) if hint and hinted else None,
        init=_place(here, maps[-1]["uri"]) if maps else None,
        next=following,
        blocks=control.get("can_block_reload") == "YES",
        ended=bool(found["is_endlist"]),
    )


def _told(segment: dict[str, Any]) -> float | None:
    """The date of a segment, which stands before its first part. Later ones follow from it.

    (The library's own count goes through parts and then through their segment again.)
    """
    parts = segment.get("parts")
    told = parts[0].get("program_date_time") if parts else segment.get("current_program_date_time")
    return told.timestamp() if isinstance(told, datetime) else None


def _segment(here: URL, msn: int, segment: dict[str, Any], date: float | None) -> Piece:
    gap = segment.get("gap_tag") is not None
    return Piece(msn, 0, float(segment["duration"]), _place(here, segment["uri"]), "segment", date, gap)


def _parts(here: URL, msn: int, segment: dict[str, Any], date: float | None) -> list[Piece]:
    made = []
    for index, part in enumerate(segment.get("parts") or ()):
        seconds = float(part["duration"])
        gap = part.get("gap") == "YES"
        made.append(Piece(msn, index, seconds, _place(here, part["uri"]), "part", date, gap))
        date = None if date is None else date + seconds
    return made
