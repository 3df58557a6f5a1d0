import random

import pytest
from multidict import CIMultiDict

from origin.audience import PEAK_SECONDS, PLAIN_SECONDS, Audience, is_listener

PART = 0.4


def test_nobody_is_nobody() -> None:
    audience = Audience()
    assert audience.size(0.0, 0) == 0
    audience.observe(1.0, 0)
    assert audience.size(100.0, 0) == 0


def test_who_waits_is_a_listener_before_the_first_part_comes() -> None:
    audience = Audience()
    audience.waiting = 3
    assert audience.size(0.0, 0) == 3


def test_who_waited_for_a_part_is_still_a_listener_while_it_is_on_its_way() -> None:
    audience = Audience()
    audience.waiting = 5
    audience.observe(10.0, 0)
    audience.waiting = 0
    assert audience.size(10.0, 0) == 5
    assert audience.size(10.0 + PEAK_SECONDS, 0) == 5


def test_who_has_left_is_counted_for_a_moment_longer_only() -> None:
    audience = Audience()
    audience.waiting = 5
    audience.observe(10.0, 0)
    audience.waiting = 2
    for step in range(1, 20):
        now = 10.0 + step * PART
        audience.observe(now, 0)
        assert audience.size(now, 0) == (5 if step * PART <= PEAK_SECONDS else 2)


def test_who_waits_for_whole_segments_is_counted_all_the_time() -> None:
    audience = Audience()
    for part in range(40):
        # Four ask part by part. One asks in the middle of a segment for all of it.
        audience.waiting = 4 + (part % 5 >= 3)
        audience.observe(part * PART, 0)
        audience.waiting = 0
        if part >= 5:
            assert audience.size(part * PART + 0.1, 0) == 5


@pytest.mark.parametrize("players", [0, 1, 10, 250])
def test_plain_players_are_counted_by_their_reloads(players: int) -> None:
    chosen = random.Random(players)
    # Each reloads every two seconds, and a little later than it meant to.
    reloads = []
    for _ in range(players):
        at = chosen.uniform(0, 2)
        while at < 60:
            reloads.append(at)
            at += 2 + chosen.uniform(0, 0.1)
    audience = Audience()
    for part in range(150):
        now = part * PART
        answers = sum(at <= now for at in reloads)
        audience.observe(now, answers)
        if now > PLAIN_SECONDS + 2:
            assert audience.size(now, answers) == pytest.approx(players, rel=0.2, abs=0.5)


def test_plain_players_that_left_are_forgotten_also_when_no_part_comes() -> None:
    audience = Audience()
    for second in range(20):
        audience.observe(float(second), 5 * second)
    assert audience.size(19.0, 95) == 10
    assert audience.size(19.0 + PLAIN_SECONDS, 95) == 0
    audience.observe(200.0, 95)
    audience.observe(209.0, 95)
    assert audience.size(209.0, 95) == 0


def test_a_burst_of_plain_requests_is_nobody() -> None:
    audience = Audience()
    sizes = set()
    for part in range(60):
        now = part * PART
        # Ten listeners; at 12 s somebody asks for the playlist a thousand times.
        answers = int(5 * now) + (1000 if now >= 12 else 0)
        audience.observe(now, answers)
        if now >= PLAIN_SECONDS:
            sizes.add(audience.size(now, answers))
    assert sizes <= {9, 10}


def test_how_much_is_kept_does_not_grow() -> None:
    audience = Audience()
    for part in range(10_000):
        audience.observe(part * PART, part)
    assert len(audience._samples) <= PLAIN_SECONDS / PART + 2


@pytest.mark.parametrize(
    ("fields", "listens"),
    [
        ({}, True),
        ({"Via": "1.1 office-proxy", "X-Forwarded-For": "192.0.2.1"}, True),
        ({"CDN-Loop": ""}, True),
        ({"CDN-Loop": "longwave-edge"}, False),
        ({"cdn-loop": "cloudflare; subreqs=1, longwave-edge"}, False),
        ({"CDN-Loop": "Fastly"}, False),
    ],
)
def test_who_passes_requests_on_for_many_is_no_listener(fields: dict[str, str], listens: bool) -> None:
    assert is_listener(CIMultiDict(fields)) is listens
