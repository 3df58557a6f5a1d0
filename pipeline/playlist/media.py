"""Media playlists as text: full, as a delta update, and ended (rfc8216bis 4.4.3 to 4.4.5)."""

from __future__ import annotations

from functools import lru_cache

from contracts.position import Position
from pipeline.grid import FRAME, Grid, first_sample
from pipeline.playlist.dateranges import DateRangeText, range_id
from pipeline.playlist.model import (
    CAN_SKIP_UNTIL,
    HOLD_BACK,
    SEGMENTS_WITH_PARTS,
    TARGET_DURATION,
    MediaPlaylist,
    RenditionReport,
    Segment,
    Skip,
)
from pipeline.playlist.text import date_time, decimal, seconds, units

# Section 8: EXT-X-MAP needs version 6, EXT-X-SKIP needs 9, and 10 where it stands for date ranges too; 6.2.1
# wants no more than what is needed.
_VERSION = {Skip.NO: 6, Skip.YES: 9, Skip.V2: 10}
# It stands in a delta update too: it applies to the segments that are left, and 6.2.5.1 keeps every tag that
# was not skipped. hls.js puts its earlier one (same URI) in its place. Before it comes what belongs to the
# playlist, after it what belongs to segments.
_MAP = '#EXT-X-MAP:URI="init.mp4"\n'


def render(playlist: MediaPlaylist, *, skip: Skip = Skip.NO) -> str:
    """The playlist, or its delta update where one is asked for and there are segments to skip."""
    return MediaText().render(playlist, skip=skip)


class MediaText:
    """Renders the playlists of *one* rendition, and keeps the text of what can no longer change.

    A 15-minute window has 450 segments and a new playlist comes several times a second: only what is new is
    written, the rest is joined.
    """

    def __init__(self) -> None:
        self._segments: dict[int, str] = {}
        self._with_parts: dict[int, str] = {}
        self._date_ranges = DateRangeText()

    def render(self, playlist: MediaPlaylist, *, skip: Skip = Skip.NO) -> str:
        """As the function `render`."""
        skipped = playlist.skippable() if skip is not Skip.NO else 0
        # Without an EXT-X-SKIP nobody would know that something is to be merged.
        skip = skip if skipped else Skip.NO
        whole = len(playlist.segments)
        edge = max(skipped, whole - SEGMENTS_WITH_PARTS)
        return "".join(
            (
                _head(playlist, skip, skipped),
                self._ranges(playlist, skip),
                _MAP,
                *self._older(playlist, skipped, edge),
                *(self._recent(playlist, playlist.segments[index]) for index in range(edge, whole)),
                _open_segment(playlist),
                _tail(playlist),
            )
        )

    def _ranges(self, playlist: MediaPlaylist, skip: Skip) -> str:
        if skip is Skip.V2:
            return self._date_ranges.some(playlist.added, playlist.epoch_us)
        return self._date_ranges.listed(playlist.events, playlist.epoch_us)

    def _older(self, playlist: MediaPlaylist, start: int, stop: int) -> map[str]:
        """The segments without parts from index `start` to `stop`."""
        texts = self._segments
        for segment in reversed(playlist.segments[: max(0, len(playlist.segments) - SEGMENTS_WITH_PARTS)]):
            if segment.msn in texts:
                break  # and so are all before it, however few were asked for
            texts[segment.msn] = render_segment(playlist, segment)
        first = playlist.media_sequence
        # Twice the window is kept at most, so that pruning costs nothing on average.
        if len(texts) > 2 * len(playlist.segments) + 16:
            self._segments = texts = {msn: text for msn, text in texts.items() if msn >= first}
        return map(texts.__getitem__, range(first + start, first + stop))

    def _recent(self, playlist: MediaPlaylist, segment: Segment) -> str:
        text = self._with_parts.get(segment.msn)
        if text is None:
            text = render_segment(playlist, segment, with_parts=True)
            # A room that is rarely asked for skips segments here, so all older ones go.
            oldest = segment.msn - SEGMENTS_WITH_PARTS + 1
            self._with_parts = {msn: kept for msn, kept in self._with_parts.items() if msn >= oldest}
            self._with_parts[segment.msn] = text
        return text


def render_segment(playlist: MediaPlaylist, segment: Segment, *, with_parts: bool = False) -> str:
    """A whole segment's lines. 4.4.4.9: its date stands before its first part."""
    parts = _parts(playlist.grid, segment.msn, segment.parts) if with_parts else ""
    gap = "#EXT-X-GAP\n" if segment.gap else ""
    duration = seconds(segment.frames(playlist.grid))
    return f"{_date(playlist, segment.msn)}{parts}{gap}#EXTINF:{duration},\n{segment.msn}.m4s\n"


def _date(playlist: MediaPlaylist, msn: int) -> str:
    return f"#EXT-X-PROGRAM-DATE-TIME:{date_time(playlist.epoch_us, first_sample(msn))}\n"


def _parts(grid: Grid, msn: int, count: int) -> str:
    # Every AAC frame is independent. It also frees a take's last part from the 85 % rule of 4.4.4.9.
    return "".join(
        f"#EXT-X-PART:DURATION={seconds(len(grid.part_frames(Position(msn, part))))},"
        f'URI="{msn}.{part}.m4s",INDEPENDENT=YES\n'
        for part in range(count)
    )


def _head(playlist: MediaPlaylist, skip: Skip, skipped: int) -> str:
    return (
        f"#EXTM3U\n#EXT-X-VERSION:{_VERSION[skip]}\n{_constants(playlist.grid.parts)}"
        f"#EXT-X-MEDIA-SEQUENCE:{playlist.media_sequence}\n{_skip(playlist, skip, skipped)}"
    )


def _skip(playlist: MediaPlaylist, skip: Skip, skipped: int) -> str:
    """4.4.5.2: whoever asked for an update without old date ranges is told which have left, if only none."""
    if skip is Skip.NO:
        return ""
    if skip is Skip.YES:
        return f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n"
    removed = "\t".join(map(range_id, playlist.removed))
    return f'#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped},RECENTLY-REMOVED-DATERANGES="{removed}"\n'


@lru_cache(maxsize=16)
def _constants(parts: int) -> str:
    target = Grid(parts).part_target // FRAME
    # 4.4.3.8 wants three times PART-TARGET *as it is written*, which rounding may have lifted.
    hold_back = max(units(3 * target), 3 * units(target))
    return (
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        f"#EXT-X-TARGETDURATION:{TARGET_DURATION}\n"
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={CAN_SKIP_UNTIL},"
        f"CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK={decimal(hold_back)},HOLD-BACK={HOLD_BACK}\n"
        f"#EXT-X-PART-INF:PART-TARGET={seconds(target)}\n"
    )


def _open_segment(playlist: MediaPlaylist) -> str:
    msn, count = playlist.next
    if count == 0:
        return ""  # a date without a part or a segment after it would date nothing
    return _date(playlist, msn) + _parts(playlist.grid, msn, count)


def _tail(playlist: MediaPlaylist) -> str:
    reports = "".join(map(_report, playlist.reports))
    if playlist.ended:
        # The parts stay listed (nothing pushes them out any more), so that a low-latency player finishes as
        # it played; 4.4.5.3 forbids the hint.
        return f"{reports}#EXT-X-ENDLIST\n"
    msn, part = playlist.next
    return f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{msn}.{part}.m4s"\n{reports}'


def _report(report: RenditionReport) -> str:
    # Nothing is left out, though 4.4.5.4 would allow it where both renditions stand at the same part. (hls.js
    # takes LAST-PART=0 for none, asks for the part number of the rendition that it leaves, and may so wait
    # longer.)
    last_part = "" if report.last_part is None else f",LAST-PART={report.last_part}"
    uri = f"../{report.rendition}/index.m3u8"
    return f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={report.last_msn}{last_part}\n'
