"""What a URL answers: a body with its validator and the header fields that describe it, made once and shared.

A representation is complete when it is made: every listener who gets it gets the same bytes from the same
objects, so that ten thousand answers cost ten thousand socket writes and little else.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from origin.cache_policy import Kind, cache_fields

SERVER: Final = "longwave"
PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
MEDIA_TYPE: Final = "audio/mp4"
# 120 bits: no two bodies of one URL meet, and it stays short.
_ETAG_BYTES: Final = 15
# A playlist is packed once for each part: level 4 takes half of level 6's time for a few percent more bytes.
_GZIP_LEVEL: Final = 4


@dataclass(frozen=True, slots=True)
class Representation:
    """One body: `chunks` is what is sent, joined; `etag` is strong, quoted and a hash of the content.

    `head` holds the status line and all header fields but `Date`, as they go over the wire.
    """

    kind: Kind
    chunks: tuple[bytes, ...]
    etag: str
    headers: CIMultiDictProxy[str]
    size: int
    head: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A playlist's bytes in one content coding, before it is known how long they may be kept."""

    data: bytes
    etag: str
    fields: Mapping[str, str]


class Slot:
    """A place whose representation changes over time: None while the next one has not been made.

    `answers` is how many requests of listeners were answered from it: those of edges are left out.
    """

    __slots__ = ("answers", "representation")

    def __init__(self, representation: Representation | None = None) -> None:
        self.representation = representation
        self.answers = 0


def content_etag(chunks: Iterable[bytes], suffix: str = "") -> str:
    """A strong ETag: equal wherever the bytes are, so that origins agree without talking to each other."""
    digest = blake2b(digest_size=_ETAG_BYTES)
    for chunk in chunks:
        digest.update(chunk)
    return f'"{digest.hexdigest()}{suffix}"'


def surrogate_key(take: str) -> dict[str, str]:
    """What a take's answers are marked with, so that a CDN can be made to let go of all of them at once.

    Fastly and Varnish know the field by this name, CloudFront is told it, others copy it: see docs/cdn.md.
    """
    return {"Surrogate-Key": take}


def media(kind: Kind, chunks: tuple[bytes, ...], take: str) -> Representation:
    """An init segment, a part, or a segment given as its parts; `take` is the id of its take."""
    fields = {"Accept-Ranges": "none", **surrogate_key(take)}
    return represent(kind, MEDIA_TYPE, chunks, content_etag(chunks), fields)


def encode(text: str, *, gzipped: bool) -> Text:
    """A playlist's text in a content coding. Either form names the other one's existence (`Vary`)."""
    data = text.encode()
    fields = {"Vary": "Accept-Encoding"}
    if not gzipped:
        return Text(data, content_etag((data,)), fields)
    # The hash is the text's: zlib's output may differ between versions. mtime 0 keeps the clock out of it.
    packed = gzip.compress(data, _GZIP_LEVEL, mtime=0)
    return Text(packed, content_etag((data,), "-gz"), {**fields, "Content-Encoding": "gzip"})


def playlist(kind: Kind, text: Text, take: str) -> Representation:
    """A playlist of a take that may be kept as `kind` may."""
    fields = {**text.fields, **surrogate_key(take)}
    return represent(kind, PLAYLIST_TYPE, (text.data,), text.etag, fields)


def represent(
    kind: Kind, content_type: str, chunks: tuple[bytes, ...], etag: str, more: Mapping[str, str]
) -> Representation:
    """Any body, with the header fields that all have and `more`."""
    size = sum(map(len, chunks))
    headers = CIMultiDict(
        {
            "Content-Type": content_type,
            "Content-Length": str(size),
            **cache_fields(kind),
            "ETag": etag,
            "Access-Control-Allow-Origin": "*",
            # Date is what a page on another host needs to know the origin's clock.
            "Access-Control-Expose-Headers": "Date, ETag",
            "Server": SERVER,
            **more,
        }
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 200 OK\r\n{lines}".encode()
    return Representation(kind, chunks, etag, CIMultiDictProxy(headers), size, head)


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether an `Accept-Encoding` allows gzip (RFC 9110 12.5.3)."""
    if not accept_encoding:
        return False
    allowed: dict[str, bool] = {}
    for entry in accept_encoding.lower().split(","):
        coding, _, parameter = entry.partition(";")
        name, _, value = parameter.partition("=")
        refused = name.strip() == "q" and not value.strip().strip("0.")
        allowed[coding.strip()] = not refused
    return allowed.get("gzip", allowed.get("*", False))


def etag_matches(if_none_match: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` names `etag` (weak comparison, RFC 9110 13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(candidate.strip().removeprefix("W/") == etag for candidate in if_none_match.split(","))
