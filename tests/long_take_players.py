"""What every player has to do with a long take: give all of it, and begin wherever it is told to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser

from pipeline.grid import FRAME, Grid
from pipeline.pcm import Pcm
from tests.audio import RATE
from tests.e2e.replay_ear import playing
from tests.long_take import LongTake
from tests.long_take_ear import (
    PIECE,
    by_ffmpeg,
    by_mpv,
    by_pyav,
    check_first_sound,
    check_from,
    check_whole,
)

# A decoder that begins somewhere lacks the frame before: its first one is not right yet.
_WARM = 2 * FRAME
# FFmpeg 5.1 and 8.1 round differently.
_ROUNDING = 2


def hear_all(take: LongTake, server: str, best: str) -> str:
    """The m4a and the HLS replay of its best rendition, decoded by two versions of FFmpeg. The figures."""
    address, channels = server + take.address, take.source.shape[1]
    heard = by_ffmpeg(f"{address}.m4a", channels)
    figures = check_whole(take.source, heard)
    first, other = by_pyav(f"{address}.m4a", channels)
    assert first == 0
    assert other.shape == heard.shape
    assert _difference(other, heard) <= _ROUNDING
    _check_hls(heard, by_ffmpeg(f"{address}/{best}/index.m3u8", channels))
    return figures


def _check_hls(m4a: Pcm, hls: Pcm) -> None:
    """The same sound; its last part is a whole one, so there may be silence after the end."""
    end = len(m4a)
    assert 0 <= len(hls) - end < Grid(5).part_target
    # It knows no frame before the first, and so begins with another fade.
    assert np.array_equal(hls[FRAME:end], m4a[FRAME:])
    assert not hls[end:].any()


def seek_ffmpeg(take: LongTake, server: str, seconds: Iterable[float]) -> None:
    """The ffmpeg program seeks in the m4a to the sample, by ranges."""
    for second in seconds:
        address, channels = f"{server}{take.address}.m4a", take.source.shape[1]
        heard = by_ffmpeg(address, channels, "-ss", f"{second:.3f}", "-t", "0.7")
        check_from(take.source, heard, round(second * RATE), skip=_WARM)


def seek_pyav(take: LongTake, server: str, seconds: Iterable[float], best: str) -> None:
    """FFmpeg's library seeks in both, to within a frame; what it says where it is is true to the sample.

    The program's 5.1 cannot seek in any HLS of fragmented MP4, nor can mpv that is built with it.
    """
    for second in seconds:
        for ending in (".m4a", f"/{best}/index.m3u8"):
            address, channels = f"{server}{take.address}{ending}", take.source.shape[1]
            first, heard = by_pyav(address, channels, second, most=PIECE + 2 * _WARM)
            assert abs(first - second * RATE) <= FRAME, (ending, second, first)
            check_from(take.source, heard, first, skip=_WARM)


def seek_mpv(take: LongTake, server: str, seconds: Iterable[float], directory: Path) -> None:
    """Mpv counts in seconds, and may be a sample off where these are not whole."""
    for second in seconds:
        address, start = f"{server}{take.address}.m4a", f"--start={second:.3f}"
        heard = by_mpv(address, directory / "heard.pcm", take.source.shape[1], start, "--length=0.7")
        check_from(take.source, heard, round(second * RATE), skip=_WARM, within=1)


def seek_chromium(take: LongTake, server: str, seconds: Iterable[float], browser: Browser) -> None:
    """`<audio>` with the m4a, and hls.js with the HLS replay, seek to within a frame."""
    length = len(take.source) / RATE
    for ending, hls, longer in ((".m4a", False, FRAME), ("/index.m3u8", True, Grid(5).part_target)):
        address = f"{server}{take.address}{ending}"
        with playing(browser, server, address, channels=take.source.shape[1], hls=hls) as player:
            assert -1e-4 < player.duration - length < longer / RATE
            for second in seconds:
                heard = player.after_seek(second, PIECE + 2 * _WARM)
                check_first_sound(take.source, heard, round(second * RATE))


def _difference(one: Pcm, other: Pcm) -> int:
    return int(np.abs(np.subtract(one, other, dtype=np.int32)).max())
