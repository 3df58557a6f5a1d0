import pytest

from contracts.position import Position
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


@pytest.fixture
def ended() -> TakeWindow:
    take = window()
    play(take, (0, 0), (2, 3))
    take.end(take.grid.stop_sample(take.grid.position_of_sample(2 * 96_000 + 50_000)))
    return take
