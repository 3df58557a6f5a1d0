"""A media playlist of segments that are all there already (`EXT-X-PLAYLIST-TYPE:VOD`)."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.grid import Grid
from pipeline.playlist.model import TARGET_DURATION, Segment
from pipeline.playlist.text import seconds


def render_vod(segments: Sequence[Segment], grid: Grid) -> str:
    """The playlist of `segments`, beside which lie `init.mp4` and `{msn}.m4s`."""
    body = "".join(
        ("#EXT-X-GAP\n" if segment.gap else "")
        + f"#EXTINF:{seconds(segment.frames(grid))},\n{segment.msn}.m4s\n"
        for segment in segments
    )
    return (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        f"#EXT-X-TARGETDURATION:{TARGET_DURATION}\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        f"#EXT-X-MEDIA-SEQUENCE:{segments[0].msn if segments else 0}\n"
        f'#EXT-X-MAP:URI="init.mp4"\n{body}#EXT-X-ENDLIST\n'
    )
