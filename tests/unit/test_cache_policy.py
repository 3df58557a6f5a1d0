"""The table of the cache policy, row by row."""

from __future__ import annotations

import pytest

from origin.cache_policy import CACHE_CONTROL, Kind, error_cache_control

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


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_errors_that_a_crowd_may_meet_are_kept_for_a_second(status: int) -> None:
    assert error_cache_control(status) == "public, max-age=1"


@pytest.mark.parametrize("status", [401, 403, 405, 409, 410, 413, 416])
def test_other_errors_are_not_kept(status: int) -> None:
    assert error_cache_control(status) == "no-store"
