"""What to answer for a stored object: conditions and ranges. Pure: a request's fields in, a plan out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from contracts.errors import PreconditionFailed
from origin.cache_policy import Kind, cache_fields
from origin.ranges import ByteRange, parse_range, range_holds
from origin.replay_reader import Stored
from origin.representation import MEDIA_TYPE, etag_matches, surrogate_key

_EXPOSED: Final = "Date, ETag, Accept-Ranges, Content-Range, Content-Length"


@dataclass(frozen=True, slots=True)
class Media:
    """A stored object as listeners get it, and the name of a file that holds it.

    `disposition` is its Content-Disposition, if it has one.
    """

    stored: Stored
    kind: Kind
    take: str
    file_name: str
    disposition: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer to one request: its status, its header fields, and the bytes of the object that follow."""

    status: int
    fields: Mapping[str, str]
    body: ByteRange


def replay_fields(kind: Kind, take: str) -> dict[str, str]:
    """Header fields of all that is answered of a replay.

    By the surrogate key an edge can let go of everything of a take at once.
    """
    fields = {
        **cache_fields(kind),
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": _EXPOSED,
        **surrogate_key(take),
    }
    # Without its token, a host is told that there is nothing.
    return {**fields, "Vary": "Authorization"} if kind is Kind.HIDDEN_REPLAY else fields


def plan_answer(request: web.Request, media: Media) -> Plan:
    """Conditions in the order of RFC 9110 13.2.2, then the range.

    Raises PreconditionFailed and RangeNotSatisfiable.
    """
    stored, headers = media.stored, request.headers
    _check_if_match(headers.get(hdrs.IF_MATCH), stored.etag)
    fields = {**replay_fields(media.kind, media.take), "ETag": stored.etag}
    if etag_matches(headers.get(hdrs.IF_NONE_MATCH), stored.etag):
        return Plan(304, fields, ByteRange(0, 0))
    fields |= {"Content-Type": MEDIA_TYPE, "Accept-Ranges": "bytes"}
    if media.disposition is not None:
        fields["Content-Disposition"] = media.disposition
    asked = _asked_range(request, stored)
    whole = asked is None
    body = asked or ByteRange(0, stored.size)
    fields["Content-Length"] = str(body.stop - body.start)
    if not whole:
        fields["Content-Range"] = body.content_range(stored.size)
    # The header fields of a HEAD are those of a GET, and nothing follows.
    return Plan(200 if whole else 206, fields, body if request.method == "GET" else ByteRange(0, 0))


def _check_if_match(if_match: str | None, etag: str) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    # Compared strongly (RFC 9110 13.1.1): a weak tag is none of ours.
    if etag not in {each.strip() for each in if_match.split(",")}:
        raise PreconditionFailed("this replay is not what If-Match names (any more)")


def _asked_range(request: web.Request, stored: Stored) -> ByteRange | None:
    """What of it is asked for; ranges are for GET alone (RFC 9110 14.2)."""
    # Several fields are one list.
    field = ", ".join(request.headers.getall(hdrs.RANGE, ()))
    if request.method != "GET" or not range_holds(request.headers.get(hdrs.IF_RANGE), stored.etag):
        return None
    return parse_range(field, stored.size)
