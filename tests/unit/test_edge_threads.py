"""Whether an edge offers HTTP/2, of which each connection holds a thread of Varnish."""

import pytest

from infra.edge.varnish.threads import Threads, offers_http2


@pytest.mark.parametrize(
    ("running", "before", "now"),
    [
        (400, True, True),
        (16_799, True, True),
        (16_800, True, False),
        (24_000, True, False),
        # Not back and forth at the bound.
        (16_799, False, False),
        (9_600, False, False),
        (9_599, False, True),
    ],
)
def test_http_2_is_offered_until_threads_run_short_and_again_when_there_are_plenty(
    running: int, before: bool, now: bool
) -> None:
    assert offers_http2(Threads(running, 24_000), offered=before) is now
