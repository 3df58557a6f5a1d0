"""The table of the cache policy, row by row."""

from __future__ import annotations

import pytest

from contracts.http import cdn_fields
from origin.cache_policy import CACHE_CONTROL, Kind, cache_fields, error_cache_control

IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (Kind.INIT, IMMUTABLE),
        (Kind.SEGMENT, IMMUTABLE),
        (Kind.PART, IMMUTABLE),
        (Kind.BLOCKING_PLAYLIST, "public, max-age=12"),
        (Kind.PLAYLIST, "public, max-age=1"),
        (Kind.MULTIVARIANT, "public, max-age=1"),
        (Kind.ENDED_PLAYLIST, "public, max-age=60"),
        (Kind.REPLAY, "public, max-age=60"),
        (Kind.HIDDEN_REPLAY, "no-store"),
        (Kind.FEED, "public, max-age=60"),
    ],
)
def test_what_may_be_kept_for_how_long(kind: Kind, header: str) -> None:
    assert CACHE_CONTROL[kind] == header


def test_every_kind_has_a_row() -> None:
    assert set(CACHE_CONTROL) == set(Kind)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (Kind.BLOCKING_PLAYLIST, "max-age=12, must-revalidate"),
        (Kind.PLAYLIST, "max-age=1, must-revalidate"),
        (Kind.MULTIVARIANT, "max-age=1, must-revalidate"),
        (Kind.LOBBY, "max-age=1, must-revalidate"),
        (Kind.LISTEN, "max-age=2, must-revalidate"),
        # Kept by CDNs alone.
        (Kind.PAGE, "max-age=10"),
        # For these CDNs go by Cache-Control.
        (Kind.INIT, None),
        (Kind.SEGMENT, None),
        (Kind.PART, None),
        (Kind.REPLAY, None),
        (Kind.HIDDEN_REPLAY, None),
    ],
)
def test_what_cdns_are_told_beside(kind: Kind, field: str | None) -> None:
    assert cache_fields(kind).get("CDN-Cache-Control") == field
    assert cache_fields(kind)["Cache-Control"] == CACHE_CONTROL[kind]


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.PAGE}))
def test_no_cdn_is_told_to_keep_anything_longer_than_others(kind: Kind) -> None:
    fields = cache_fields(kind)
    cdn = fields.get("CDN-Cache-Control")
    assert cdn is None or f"public, {cdn}" == f"{fields['Cache-Control']}, must-revalidate"


def test_no_cdn_answers_with_an_error_that_is_over() -> None:
    assert cdn_fields("public, max-age=1") == {"CDN-Cache-Control": "max-age=1, must-revalidate"}
    assert cdn_fields("no-store") == {}


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_errors_that_a_crowd_may_meet_are_kept_for_a_second(status: int) -> None:
    assert error_cache_control(status) == "public, max-age=1"


@pytest.mark.parametrize("status", [401, 403, 405, 409, 410, 413, 416])
def test_other_errors_are_not_kept(status: int) -> None:
    assert error_cache_control(status) == "no-store"
