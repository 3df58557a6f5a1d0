import pytest

from pipeline.grid import Grid
from pipeline.playlist import Segment, Variant, render_multivariant, render_vod


def variants(*kbit: int) -> list[Variant]:
    return [Variant(f"{k}k", k * 1000, k * 1250 + 3500, k * 1000 + 3500) for k in kbit]


def test_one_variant_a_rendition() -> None:
    assert render_multivariant(variants(64), "20260101T000000Z-abc234") == (
        "#EXTM3U\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=83500,AVERAGE-BANDWIDTH=67500,CODECS="mp4a.40.2"\n'
        "20260101T000000Z-abc234/64k/index.m3u8\n"
    )


@pytest.mark.parametrize(
    ("renditions", "order"),
    [
        ((32, 64, 128), "64k 128k 32k"),
        ((128, 32), "32k 128k"),
        ((256, 128), "128k 256k"),
        ((32, 48), "48k 32k"),
        ((96, 64, 48, 32), "64k 96k 48k 32k"),
    ],
)
def test_the_variant_to_begin_with_comes_first_then_the_best(renditions: tuple[int, ...], order: str) -> None:
    text = render_multivariant(variants(*renditions), "t")
    assert " ".join(line.split("/")[1] for line in text.splitlines() if line.startswith("t/")) == order


def test_a_vod_playlist_ends_and_never_changes() -> None:
    assert render_vod([Segment(2, 5), Segment(3, 5), Segment(4, 1)], Grid(5)) == (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:2\n"
        '#EXT-X-MAP:URI="init.mp4"\n'
        "#EXTINF:2.00533,\n2.m4s\n#EXTINF:1.98400,\n3.m4s\n#EXTINF:0.38400,\n4.m4s\n#EXT-X-ENDLIST\n"
    )
