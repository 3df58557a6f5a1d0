"""Media playlists of media that is all there already (`EXT-X-PLAYLIST-TYPE:VOD`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from contracts.take import Rendition
from pipeline.grid import FRAME, SAMPLE_RATE, Grid
from pipeline.playlist.model import TARGET_DURATION, Segment, Variant
from pipeline.playlist.text import date_time, seconds
from pipeline.replay.fragment_index import FragmentIndex
from pipeline.replay.rate import bits_a_second
from pipeline.replay.stretches import Stretch, stretches

GAP_URI: Final = "gap.mp4"
"""What stands for media that is missing: nothing. 4.4.4.7 forbids to load it, but older players do (FFmpeg's
before 6), and go on when they find nothing; a fragment of 30 s they would play."""
# 4.1: a peak is looked for over 0.5 to 1.5 times the target duration.
_SHORTEST: Final = TARGET_DURATION * SAMPLE_RATE // 2
_LONGEST: Final = 3 * TARGET_DURATION * SAMPLE_RATE // 2


def render_vod(segments: Sequence[Segment], grid: Grid) -> str:
    """The playlist of `segments`, beside which lie `init.mp4` and `{msn}.m4s`."""
    body = "".join(
        ("#EXT-X-GAP\n" if segment.gap else "")
        + f"#EXTINF:{seconds(segment.frames(grid))},\n{segment.msn}.m4s\n"
        for segment in segments
    )
    return _playlist(segments[0].msn if segments else 0, body)


def render_fragment_vod(indexes: Iterable[FragmentIndex], grid: Grid, samples: int, epoch_us: int) -> str:
    """The playlist of a take of `samples`, beside which lie `init.mp4` and its fragments, `{first_msn}.mp4`.

    Every segment is a range of a fragment (4.4.4.2). A segment that lacks parts is listed as the stretches
    that are there and, between them, `EXT-X-GAP` for what is not, each with its own duration; media time goes
    on through all of them. `indexes` are those of one rendition, in order.
    """
    return _playlist(0, "".join(_entry(each, epoch_us) for each in stretches(indexes, grid, samples)))


def variant_of(rendition: Rendition, indexes: Sequence[FragmentIndex], grid: Grid) -> Variant:
    """The rendition as the multivariant playlist offers it, with its bit rates as measured (4.1).

    Containers are included, gaps are not. Without any media they are nominal. `indexes` are in order.
    """
    end = FRAME * int(indexes[-1].table[-1, 2:4].sum()) if indexes else 0
    runs: list[list[Stretch]] = [[]]
    for stretch in stretches(indexes, grid, end):
        if stretch.fragment is None:
            runs.append([])
        else:
            runs[-1].append(stretch)
    media = [stretch for run in runs for stretch in run]
    if not media:
        return Variant(rendition.name, rendition.bit_rate, rendition.bit_rate, rendition.bit_rate)
    average = _rate(media)
    return Variant(rendition.name, rendition.bit_rate, max(average, *map(_peak, runs)), average)


def _playlist(media_sequence: int, body: str) -> str:
    # Section 8: EXT-X-MAP needs version 6, and nothing here a higher one.
    return (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        f"#EXT-X-TARGETDURATION:{TARGET_DURATION}\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        f"#EXT-X-MEDIA-SEQUENCE:{media_sequence}\n"
        f'#EXT-X-MAP:URI="init.mp4"\n{body}#EXT-X-ENDLIST\n'
    )


def _entry(stretch: Stretch, epoch_us: int) -> str:
    date = f"#EXT-X-PROGRAM-DATE-TIME:{date_time(epoch_us, FRAME * stretch.first_frame)}\n"
    duration = f"#EXTINF:{seconds(stretch.frames)},\n"
    if stretch.fragment is None:
        return f"{date}#EXT-X-GAP\n{duration}{GAP_URI}\n"
    return f"{date}{duration}#EXT-X-BYTERANGE:{stretch.size}@{stretch.start}\n{stretch.fragment}.mp4\n"


def _peak(run: Sequence[Stretch]) -> int:
    """The highest rate of stretches that follow one another and last 1 to 3 s; 0 where none do."""
    peak = 0
    for first in range(len(run)):
        for last in range(first, len(run)):
            duration = FRAME * (run[last].end - run[first].first_frame)
            if duration > _LONGEST:
                break
            if duration >= _SHORTEST:
                peak = max(peak, _rate(run[first : last + 1]))
    return peak


def _rate(run: Sequence[Stretch]) -> int:
    return bits_a_second(sum(each.size for each in run), sum(each.frames for each in run))
