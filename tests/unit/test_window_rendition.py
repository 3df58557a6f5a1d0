import pytest

from contracts.errors import BytesConflict, MalformedMedia, OutOfOrder, TakeEnded
from contracts.position import Position
from pipeline.grid import Grid
from pipeline.playlist import RenditionReport, Segment
from pipeline.take_window import TakeWindow
from pipeline.window import Put, RenditionWindow
from tests.takes import part, play, segment, window

GRID = Grid(5)
OTHER = b"\x02" * 8


@pytest.fixture
def take() -> TakeWindow:
    """Segments 10 and 11, and parts 0 and 1 of 12."""
    take = window()
    play(take, (10, 0), (12, 2))
    return take


def rendition(take: TakeWindow) -> RenditionWindow:
    return take.renditions["64k"]


# ---- parts


def test_parts_come_one_after_another(take: TakeWindow) -> None:
    asked = rendition(take)
    assert (asked.first, asked.next) == (10, Position(12, 2))
    assert asked.segments == (Segment(10, 5), Segment(11, 5))
    assert asked.part_bytes(12, 1) == part(GRID, 12, 1)
    assert asked.segment_bytes(11) == segment(GRID, 11)
    assert asked.segment_bytes(12) is None


def test_a_part_put_twice_changes_nothing(take: TakeWindow) -> None:
    version = rendition(take).version
    for position in ((10, 0), (11, 4), (12, 1)):
        assert take.put_part("64k", *position, part(GRID, *position)) is Put.SAME
    assert rendition(take).version == version


@pytest.mark.parametrize("position", [(10, 0), (11, 4), (12, 1)])
def test_the_first_writer_of_a_part_wins(take: TakeWindow, position: tuple[int, int]) -> None:
    with pytest.raises(BytesConflict):
        take.put_part("64k", *position, part(GRID, *position, OTHER))
    assert rendition(take).part_bytes(*position) == part(GRID, *position)


@pytest.mark.parametrize("position", [(12, 3), (12, 4), (13, 0), (99, 0)])
def test_a_part_out_of_order_is_told_what_is_expected(take: TakeWindow, position: tuple[int, int]) -> None:
    with pytest.raises(OutOfOrder) as caught:
        take.put_part("64k", *position, part(GRID, *position))
    assert caught.value.expected == (12, 2)


def test_below_the_window_everything_is_ignored(take: TakeWindow) -> None:
    assert take.put_part("64k", 9, 4, b"anything") is Put.IGNORED
    assert take.put_segment("64k", 3, b"anything") is Put.IGNORED
    assert take.put_gap("64k", 9) is Put.IGNORED
    assert rendition(take).first == 10


def test_a_window_without_media_begins_with_part_0_of_any_segment() -> None:
    take = window()
    with pytest.raises(OutOfOrder) as caught:
        take.put_part("64k", 700, 1, part(GRID, 700, 1))
    assert caught.value.expected == (700, 0)
    assert take.put_part("64k", 700, 0, part(GRID, 700, 0)) is Put.NEW
    assert rendition(take).first == 700


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no boxes",
        part(GRID, 12, 1),  # another place
        part(GRID, 12, 2)[:-1],
        part(GRID, 12, 2) * 2,
        part(Grid(4), 12, 2),  # another grid
    ],
)
def test_a_part_that_is_not_what_the_grid_has_there_is_refused(take: TakeWindow, data: bytes) -> None:
    with pytest.raises(MalformedMedia):
        take.put_part("64k", 12, 2, data)
    assert rendition(take).next == (12, 2)


@pytest.mark.parametrize("index", [-1, 5, 10**9])
def test_a_part_number_that_the_take_has_not_is_refused(take: TakeWindow, index: int) -> None:
    with pytest.raises(MalformedMedia):
        take.put_part("64k", 11, index, part(GRID, 11, 0))


# ---- whole segments


def test_an_empty_window_is_filled_with_whole_segments_then_parts() -> None:
    take = window()
    for msn in (40, 41, 42):
        assert take.put_segment("64k", msn, segment(GRID, msn)) is Put.NEW
    play(take, (43, 0), (43, 1))
    assert rendition(take).segments == (Segment(40, 5), Segment(41, 5), Segment(42, 5))
    assert rendition(take).next == (43, 1)


def test_a_whole_segment_completes_the_open_one(take: TakeWindow) -> None:
    assert take.put_segment("64k", 12, segment(GRID, 12)) is Put.NEW
    assert rendition(take).next == (13, 0)


def test_a_whole_segment_with_another_beginning_is_refused_as_a_whole(take: TakeWindow) -> None:
    with pytest.raises(BytesConflict):
        take.put_segment("64k", 12, segment(GRID, 12, OTHER))
    assert rendition(take).next == (12, 2)


def test_a_whole_segment_with_one_bad_part_is_refused_as_a_whole() -> None:
    take = window()
    with pytest.raises(MalformedMedia):
        take.put_segment("64k", 12, segment(GRID, 12, parts=4) + part(GRID, 13, 4))
    assert rendition(take).first is None


def test_a_segment_with_more_parts_than_the_grid_has_is_refused() -> None:
    take = window()
    with pytest.raises(MalformedMedia):
        take.put_segment("64k", 12, segment(GRID, 12) + part(GRID, 13, 0))


def test_a_whole_segment_twice_changes_nothing_and_other_bytes_are_refused(take: TakeWindow) -> None:
    assert take.put_segment("64k", 10, segment(GRID, 10)) is Put.SAME
    with pytest.raises(BytesConflict):
        take.put_segment("64k", 10, segment(GRID, 10, OTHER))


def test_a_whole_segment_out_of_order_is_refused(take: TakeWindow) -> None:
    with pytest.raises(OutOfOrder) as caught:
        take.put_segment("64k", 13, segment(GRID, 13))
    assert caught.value.expected == (12, 2)


def test_a_short_segment_stays_open_until_the_end(take: TakeWindow) -> None:
    assert take.put_segment("64k", 12, segment(GRID, 12, parts=3)) is Put.NEW
    assert rendition(take).next == (12, 3)
    assert take.put_segment("64k", 12, segment(GRID, 12, parts=2)) is Put.SAME
    take.end(GRID.stop_sample(Position(12, 2)))
    assert rendition(take).segments[-1] == Segment(12, 3)
    assert take.put_segment("64k", 12, segment(GRID, 12, parts=3)) is Put.SAME


# ---- gaps


def test_a_gap_closes_the_open_segment_whose_parts_leave_the_list(take: TakeWindow) -> None:
    assert take.put_gap("64k", 12) is Put.NEW
    asked = rendition(take)
    assert asked.segments[-1] == Segment(12, 0)
    assert asked.next == (13, 0)
    assert asked.segment_bytes(12) is None
    assert asked.part_bytes(12, 1) == part(GRID, 12, 1)  # it had been listed
    assert asked.part_bytes(12, 2) is None
    assert '"12.' not in take.media_playlist("64k")
    assert take.put_gap("64k", 12) is Put.SAME


def test_a_gap_stays_whatever_comes_after_it(take: TakeWindow) -> None:
    take.put_gap("64k", 12)
    assert take.put_part("64k", 12, 1, part(GRID, 12, 1, OTHER)) is Put.IGNORED
    assert take.put_part("64k", 12, 2, part(GRID, 12, 2)) is Put.IGNORED
    assert take.put_segment("64k", 12, segment(GRID, 12)) is Put.IGNORED
    assert rendition(take).segments[-1] == Segment(12, 0)


def test_a_whole_segment_stays_whatever_gap_comes_after_it(take: TakeWindow) -> None:
    assert take.put_gap("64k", 11) is Put.IGNORED
    assert rendition(take).segment_bytes(11) == segment(GRID, 11)


def test_a_gap_out_of_order_is_refused(take: TakeWindow) -> None:
    with pytest.raises(OutOfOrder) as caught:
        take.put_gap("64k", 13)
    assert caught.value.expected == (12, 2)


# ---- the window moves


def test_the_oldest_segment_leaves_when_a_new_one_is_whole() -> None:
    take = window(segments=4)
    play(take, (0, 0), (4, 0))
    take.put_gap("64k", 4)
    assert rendition(take).segments == (Segment(1, 5), Segment(2, 5), Segment(3, 5), Segment(4, 0))
    play(take, (5, 0), (9, 0))
    assert rendition(take).gaps == ()
    assert rendition(take).first == 5
    assert "#EXT-X-MEDIA-SEQUENCE:5\n" in take.media_playlist("64k")


def test_a_segment_is_served_for_a_while_after_it_has_left_the_list() -> None:
    take = window(segments=4)
    play(take, (0, 0), (7, 4))
    assert rendition(take).segment_bytes(0) == segment(GRID, 0)
    play(take, (7, 4), (8, 0))
    assert rendition(take).segment_bytes(0) is None
    assert rendition(take).segment_bytes(1) == segment(GRID, 1)


def test_a_part_is_served_for_three_target_durations_after_it_has_left_the_list() -> None:
    take = window()
    play(take, (0, 0), (3, 0))
    assert '"0.' not in take.media_playlist("64k")
    play(take, (3, 0), (5, 4))
    assert rendition(take).part_bytes(0, 2) == part(GRID, 0, 2)
    play(take, (5, 4), (6, 0))
    assert rendition(take).part_bytes(0, 2) is None


def test_bytes_held_are_bounded_by_the_window_and_counted_once() -> None:
    take = window(segments=4)
    play(take, (0, 0), (40, 3))
    held = [*range(33, 40)]  # four listed, three served after that
    assert take.size == sum(len(segment(GRID, msn)) for msn in held) + len(segment(GRID, 40, parts=3))
    take.put_gap("64k", 40)
    for msn in range(41, 60):
        take.put_gap("64k", msn)
    assert take.size == 0


def test_a_window_shorter_than_three_target_durations_is_no_window() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        window(segments=2)


# ---- what is asked


def test_a_report_names_the_last_listed_part(take: TakeWindow) -> None:
    asked = rendition(take)
    assert rendition(window()).report() is None
    assert asked.report() == RenditionReport("64k", 12, 1)
    take.put_segment("64k", 12, segment(GRID, 12))
    assert asked.report() == RenditionReport("64k", 12, 4)
    take.put_gap("64k", 13)
    assert asked.report() == RenditionReport("64k", 12, 4)
    take.put_gap("64k", 14)
    assert asked.report() == RenditionReport("64k", 14, None)


def test_a_window_can_be_shown_once_it_has_a_whole_segment_or_has_ended() -> None:
    take = window()
    assert not rendition(take).answerable
    take.put_gap("64k", 0)
    play(take, (1, 0), (1, 4))
    assert not rendition(take).answerable
    play(take, (1, 4), (2, 0))
    assert rendition(take).answerable
    empty = window()
    empty.end(0)
    assert rendition(empty).answerable


def test_after_the_end_nothing_new_is_taken(take: TakeWindow) -> None:
    take.end(GRID.stop_sample(Position(12, 1)))
    with pytest.raises(TakeEnded):
        take.put_part("64k", 12, 2, part(GRID, 12, 2))
    with pytest.raises(TakeEnded):
        take.put_part("64k", 13, 0, part(GRID, 13, 0))
    with pytest.raises(TakeEnded):
        take.put_segment("64k", 13, segment(GRID, 13))
    with pytest.raises(TakeEnded):
        take.put_gap("64k", 13)
    assert take.put_part("64k", 12, 1, part(GRID, 12, 1)) is Put.SAME
    assert take.put_gap("64k", 12) is Put.IGNORED
