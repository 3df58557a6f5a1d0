import pytest

from contracts.errors import BytesConflict, MalformedMedia, MediaMissing, TakeEnded, UnknownTake
from contracts.position import Position
from contracts.take import Rendition, TakeEvent, TakeSettings
from contracts.take_state import RenditionState, TakeState
from pipeline.boxes import init_segment
from pipeline.grid import SEGMENT, Grid
from pipeline.take_window import TakeWindow
from pipeline.window import Put
from tests.takes import header, part, play, window

GRID = Grid(5)


def test_the_init_comes_before_the_media() -> None:
    take = TakeWindow(header(), 450)
    with pytest.raises(UnknownTake, match=r"init\.mp4"):
        take.put_part("64k", 0, 0, part(GRID, 0, 0))
    with pytest.raises(UnknownTake, match=r"init\.mp4"):
        take.put_segment("64k", 0, part(GRID, 0, 0))
    with pytest.raises(UnknownTake, match=r"init\.mp4"):
        take.put_gap("64k", 0)


def test_an_init_is_put_once() -> None:
    take = TakeWindow(header("64k", "32k"), 450)
    mine, other = (init_segment(take.header.settings, Rendition(name)) for name in ("64k", "32k"))
    assert take.put_init("64k", mine) is Put.NEW
    assert take.put_init("64k", mine) is Put.SAME
    with pytest.raises(BytesConflict):
        take.put_init("64k", other)
    assert take.init_bytes("64k") == mine
    assert take.init_bytes("32k") is None


def test_an_init_for_other_channels_or_of_no_boxes_is_refused() -> None:
    take = TakeWindow(header(), 450)
    for data in (b"", b"no boxes", init_segment(TakeSettings(channels=2), Rendition("64k"))):
        with pytest.raises(MalformedMedia):
            take.put_init("64k", data)


def test_a_rendition_that_the_take_has_not_is_refused() -> None:
    take = window("64k", "32k")
    with pytest.raises(UnknownTake, match="64k, 32k"):
        take.put_part("128k", 0, 0, part(GRID, 0, 0))


@pytest.mark.parametrize("msn", [-1, 10**12, 10**30])
def test_a_segment_that_no_date_reaches_is_refused(msn: int) -> None:
    with pytest.raises(MalformedMedia):
        window().put_gap("64k", msn)


def test_the_state_is_what_a_publisher_needs_to_go_on() -> None:
    take = window("64k", "32k")
    play(take, (7, 0), (9, 2))
    take.put_gap("32k", 9)
    take.put_part("32k", 10, 0, part(GRID, 10, 0))
    assert take.state() == TakeState(
        renditions={
            "64k": RenditionState(first=7, next=Position(9, 2)),
            "32k": RenditionState(first=7, next=Position(10, 1), gaps=(9,)),
        }
    )
    assert window().state() == TakeState({"64k": RenditionState(None, Position(0, 0))})


def test_a_part_changes_its_own_playlist_and_the_reports_in_the_others() -> None:
    take = window("64k", "32k")
    play(take, (0, 0), (1, 0))
    before = {
        name: (rendition.version, take.media_playlist(name)) for name, rendition in take.renditions.items()
    }
    take.put_part("32k", 1, 0, part(GRID, 1, 0))
    for name, (version, text) in before.items():
        assert take.renditions[name].version > version
        assert take.media_playlist(name) != text
    assert 'URI="../32k/index.m3u8",LAST-MSN=1,LAST-PART=0\n' in take.media_playlist("64k")
    assert 'URI="../64k/index.m3u8",LAST-MSN=0,LAST-PART=4\n' in take.media_playlist("32k")


def test_a_rendition_without_media_is_not_reported() -> None:
    take = window("64k", "32k")
    take.put_segment("64k", 0, b"".join(part(GRID, 0, index) for index in range(5)))
    assert "RENDITION-REPORT" not in take.media_playlist("64k")


def test_the_multivariant_playlist_offers_what_was_measured() -> None:
    take = window("64k", "32k")
    play(take, (0, 0), (1, 0))
    rates = {name: rendition.bandwidth for name, rendition in take.renditions.items()}
    assert take.multivariant("TAKE") == (
        "#EXTM3U\n"
        f"#EXT-X-STREAM-INF:BANDWIDTH={rates['64k'].peak},AVERAGE-BANDWIDTH={rates['64k'].average},"
        'CODECS="mp4a.40.2"\nTAKE/64k/index.m3u8\n'
        f"#EXT-X-STREAM-INF:BANDWIDTH={rates['32k'].peak},AVERAGE-BANDWIDTH={rates['32k'].average},"
        'CODECS="mp4a.40.2"\nTAKE/32k/index.m3u8\n'
    )


# ---- events


def test_date_ranges_are_the_same_in_every_rendition_at_any_time() -> None:
    take = window("64k", "32k", segments=3)
    take.put_event(TakeEvent(SEGMENT + 10, 0, "chapter", title="one"))
    take.put_event(TakeEvent(5 * SEGMENT, 0, "chapter", title="two"))
    seen = set()
    for position in [(msn, index) for msn in range(10) for index in range(5)]:
        for name in take.renditions:
            take.put_part(name, *position, part(GRID, *position))
            ranges = {
                "".join(line for line in take.media_playlist(each).splitlines() if "DATERANGE" in line)
                for each in take.renditions
            }
            assert len(ranges) == 1
            seen |= {tuple(title in text for title in ("one", "two")) for text in ranges}
    assert seen == {(False, False), (True, False), (True, True), (False, True)}


def test_an_event_is_listed_with_the_part_that_ends_after_it() -> None:
    take = window()
    play(take, (0, 0), (1, 0))
    sample = GRID.stop_sample(Position(1, 0))
    assert take.put_event(TakeEvent(sample, 0, "chapter", title="Hello")) is Put.NEW
    version = take.renditions["64k"].version
    play(take, (1, 0), (1, 1))
    assert "Hello" not in take.media_playlist("64k")
    play(take, (1, 1), (1, 2))
    assert "Hello" in take.media_playlist("64k")
    assert take.renditions["64k"].version > version


def test_an_event_for_a_moment_that_is_there_is_listed_at_once() -> None:
    take = window()
    play(take, (0, 0), (1, 0))
    version = take.renditions["64k"].version
    take.put_event(TakeEvent(0, 0, "chapter", title="Hello"))
    assert take.renditions["64k"].version > version
    assert "Hello" in take.media_playlist("64k")


# ---- the end


def test_the_end_needs_the_part_that_holds_the_last_sample_in_every_rendition() -> None:
    take = window("64k", "32k")
    play(take, (0, 0), (1, 2))
    stop = GRID.stop_sample(Position(1, 1))
    with pytest.raises(MediaMissing) as caught:
        take.end(stop + 1)
    assert caught.value.expected == (1, 2)
    take.put_part("64k", 1, 2, part(GRID, 1, 2))
    with pytest.raises(MediaMissing, match="32k"):
        take.end(stop + 1)
    take.put_part("32k", 1, 2, part(GRID, 1, 2))
    assert take.end(stop + 1) is Put.NEW
    assert take.media_playlist("32k").endswith(
        "#EXTINF:1.19467,\n1.m4s\n"
        '#EXT-X-RENDITION-REPORT:URI="../64k/index.m3u8",LAST-MSN=1,LAST-PART=2\n#EXT-X-ENDLIST\n'
    )


def test_the_end_takes_a_gap_for_the_last_segment() -> None:
    take = window("64k", "32k")
    play(take, (0, 0), (1, 2))
    take.put_part("64k", 1, 2, part(GRID, 1, 2))
    take.put_gap("32k", 1)
    assert take.end(GRID.stop_sample(Position(1, 2))) is Put.NEW
    assert "#EXT-X-GAP\n#EXTINF:2.00533,\n1.m4s\n" in take.media_playlist("32k")


def test_the_end_is_said_once() -> None:
    take = window()
    play(take, (0, 0), (1, 0))
    stop = GRID.stop_sample(Position(0, 4))
    assert not take.ended
    assert take.end(stop) is Put.NEW
    assert take.end(stop) is Put.SAME
    with pytest.raises(BytesConflict):
        take.end(stop - 1)
    assert take.state().end == stop
    assert take.ended


def test_the_end_in_the_middle_of_a_part_is_that_parts_end() -> None:
    take = window()
    play(take, (0, 0), (0, 3))
    with pytest.raises(MediaMissing):
        take.end(GRID.start_sample(Position(0, 3)) + 1)
    assert take.end(GRID.start_sample(Position(0, 2)) + 1) is Put.NEW


def test_a_take_may_end_before_it_has_media() -> None:
    take = window()
    with pytest.raises(MalformedMedia):
        take.end(-1)
    with pytest.raises(MediaMissing):
        take.end(1)
    take.end(0)
    assert take.media_playlist("64k").endswith("#EXT-X-ENDLIST\n")
    with pytest.raises(TakeEnded):
        take.put_gap("64k", 0)


def test_an_ended_take_still_takes_nothing_new_but_knows_what_it_has() -> None:
    take = window("64k", "32k")
    play(take, (0, 0), (1, 0))
    event = TakeEvent(0, 0, "chapter", title="Hello")
    take.put_event(event)
    take.end(0)
    assert take.put_event(event) is Put.SAME
    with pytest.raises(TakeEnded):
        take.put_event(TakeEvent(1, 0, "chapter", title="Late"))
    assert take.put_init("64k", take.init_bytes("64k") or b"") is Put.SAME
    late = TakeWindow(header(), 450)
    late.end(0)
    with pytest.raises(TakeEnded):
        late.put_init("64k", init_segment(late.header.settings, Rendition("64k")))
