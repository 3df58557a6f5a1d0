import pytest

from contracts.position import Position
from pipeline.grid import Grid
from pipeline.take_window import TakeWindow
from pipeline.window import Invalid, Ready, RenditionWindow, Wait
from tests.takes import play, window

# The window that most of these tests ask: 100 is evicted, 101 to 109 are whole, 110 has parts 0 and 1 of 5.


@pytest.fixture(scope="module")
def asked() -> RenditionWindow:
    take = window(segments=9)
    play(take, (100, 0), (110, 2))
    return take.renditions["64k"]


@pytest.mark.parametrize(
    ("msn", "part"),
    [
        (None, None),
        (100, None),
        (0, 4),
        (101, 0),
        (109, None),
        (109, 4),
        (109, 5),
        (109, 99),
        (110, 0),
        (110, 1),
    ],
)
def test_what_is_there_is_answered_now(asked: RenditionWindow, msn: int | None, part: int | None) -> None:
    assert asked.locate(msn, part) == Ready()


@pytest.mark.parametrize(
    ("msn", "part", "target"),
    [
        (110, 2, (110, 2)),
        (110, 4, (110, 4)),
        (110, None, (110, 4)),
        (111, None, (111, 4)),
        (111, 0, (111, 0)),
        (111, 3, (111, 3)),
        (110, 5, (111, 0)),
        (110, 8, (111, 0)),
    ],
)
def test_what_is_coming_is_waited_for(
    asked: RenditionWindow, msn: int, part: int | None, target: tuple[int, int]
) -> None:
    assert asked.locate(msn, part) == Wait(Position(*target))


@pytest.mark.parametrize(
    ("msn", "part"),
    [
        (112, None),  # more than 2 beyond 109, the last whole segment
        (112, 0),
        (10**18, 0),
        (111, 4),  # 8 parts beyond (110, 1): 3.24 s
        (110, 9),
        (None, 0),
        (-1, None),
        (110, -1),
    ],
)
def test_what_nobody_may_ask_is_refused(asked: RenditionWindow, msn: int | None, part: int | None) -> None:
    assert isinstance(asked.locate(msn, part), Invalid)


@pytest.mark.parametrize(("parts", "limit"), [(10, 14), (5, 7), (3, 4), (2, 3), (1, 3)])
def test_the_advance_part_limit_is_three_seconds_or_three_parts(parts: int, limit: int) -> None:
    take = window(parts=parts)
    play(take, (0, 0), (1, 0))
    asked = take.renditions["64k"]
    assert isinstance(asked.locate(1, limit - 1), Wait)
    assert isinstance(asked.locate(1, limit), Invalid)


def test_after_a_gap_the_part_after_the_last_one_is_the_first_after_the_gap() -> None:
    # hls.js, whose last known part is (9, 4), asks for (9, 5) once it has seen gap 10.
    take = window()
    play(take, (8, 0), (10, 2))
    take.put_gap("64k", 10)
    take.put_gap("64k", 11)
    asked = take.renditions["64k"]
    assert asked.locate(9, 5) == Wait(Position(12, 0))
    # Who has not seen the gap is told of it.
    assert asked.locate(10, 2) == Ready()
    assert asked.locate(11, None) == Ready()
    play(take, (12, 0), (12, 1))
    assert asked.locate(9, 5) == Ready()


def test_no_playlist_is_shown_before_a_whole_segment() -> None:
    take = window()
    asked = take.renditions["64k"]
    assert isinstance(asked.locate(), Wait)
    play(take, (7, 0), (7, 4))
    assert asked.locate() == Wait(Position(7, 4))
    assert asked.locate(7, 0) == Wait(Position(7, 4))
    play(take, (7, 4), (8, 0))
    assert asked.locate() == Ready()


def test_a_gap_is_no_whole_segment_to_show() -> None:
    take = window()
    take.put_gap("64k", 7)
    assert take.renditions["64k"].locate() == Wait(Position(8, 4))


def test_after_the_end_every_directive_is_ignored(ended: TakeWindow) -> None:
    asked = ended.renditions["64k"]
    assert asked.locate(3, None) == asked.locate(99, 99) == asked.locate() == Ready()


# ---- media


@pytest.mark.parametrize(
    ("msn", "part", "target"),
    [
        (110, 2, (110, 2)),  # the hint
        (110, 4, (110, 4)),
        (111, 3, (111, 3)),
        (110, None, (110, 4)),
        (111, None, (111, 4)),
    ],
)
def test_media_that_is_about_to_come_is_waited_for(
    asked: RenditionWindow, msn: int, part: int | None, target: tuple[int, int]
) -> None:
    assert asked.coming(msn, part) == Position(*target)


@pytest.mark.parametrize(
    ("msn", "part"),
    [
        (110, 1),
        (109, 4),
        (109, None),
        (100, 0),  # evicted
        (100, None),
        (0, 0),
        (110, 5),  # no segment has one
        (111, 5),
        (109, 5),
        (111, 4),  # more than 3 s beyond (110, 1)
        (112, 0),
        (112, None),
        (10**11, None),
    ],
)
def test_media_that_is_there_or_not_about_to_come_is_not_waited_for(
    asked: RenditionWindow, msn: int, part: int | None
) -> None:
    assert asked.coming(msn, part) is None


@pytest.mark.parametrize("parts", range(1, 11))
def test_media_that_nobody_waits_for_takes_longer_to_come_than_an_error_is_kept(parts: int) -> None:
    """Caches that count in whole seconds keep it for two: nginx."""
    grid = Grid(parts)
    for upcoming in (Position(8, part) for part in range(parts)):
        take = window(parts=parts)
        play(take, (7, 0), upcoming)
        rendition = take.renditions["64k"]
        pieces = [(msn, part) for msn in range(8, 13) for part in (*range(parts), None)]
        soonest = min(
            grid.stop_sample(Position(msn, grid.parts - 1 if part is None else part))
            for msn, part in pieces
            if (msn, parts if part is None else part) >= upcoming and rendition.coming(msn, part) is None
        )
        # The upcoming part may be there in the next moment.
        assert soonest - grid.stop_sample(upcoming) > 2 * 48_000


def test_before_its_first_media_a_window_may_begin_with_any() -> None:
    take = window()
    asked = take.renditions["64k"]
    assert asked.coming(700, 3) == Position(700, 3)
    assert asked.coming(0, None) == Position(0, 4)
    assert asked.coming(700, 5) is None
    play(take, (7, 0), (7, 1))
    # No playlist can be shown yet, but parts can be had, and nothing comes before them.
    assert asked.coming(7, 1) == Position(7, 1)
    assert asked.coming(7, 0) is asked.coming(6, 4) is asked.coming(700, 3) is None


def test_neither_a_gap_nor_an_end_is_waited_for(ended: TakeWindow) -> None:
    assert ended.renditions["64k"].coming(2, 3) is ended.renditions["64k"].coming(3, None) is None
    take = window()
    play(take, (8, 0), (9, 2))
    take.put_gap("64k", 9)
    asked = take.renditions["64k"]
    assert asked.coming(9, 2) is asked.coming(9, None) is None
    assert asked.coming(10, 0) == Position(10, 0)


@pytest.fixture
def ended() -> TakeWindow:
    take = window()
    play(take, (0, 0), (2, 3))
    take.end(take.grid.stop_sample(take.grid.position_of_sample(2 * 96_000 + 50_000)))
    return take
