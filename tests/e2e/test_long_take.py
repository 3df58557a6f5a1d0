"""A minute of speech and more as a replay, served by `longwave serve`: heard whole, and from any second."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.audio import RATE
from tests.long_take import LongTake, hold, long_speech
from tests.long_take_players import hear_all, seek_chromium, seek_ffmpeg, seek_mpv, seek_pyav
from tests.server import Server

# Not a whole number of frames, parts, segments or fragments.
LENGTHS = {1: 97 * RATE + 333, 2: 61 * RATE + 77}
RENDITIONS = {1: ("64k", "32k"), 2: ("64k", "128k")}
BEST = {1: "64k", 2: "128k"}


@dataclass(frozen=True)
class Served:
    take: LongTake
    url: str
    best: str

    @property
    def seconds(self) -> tuple[float, ...]:
        """Whole milliseconds: shortly after the start, in the middle, shortly before the end."""
        length = len(self.take.source) / RATE
        return tuple(round(second, 3) for second in (0.4, length * 0.3147, length * 0.7771, length - 1.5))


@pytest.fixture(scope="module", params=[1, 2], ids=["mono", "stereo"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    channels: int = request.param
    data_dir = tmp_path_factory.mktemp("long") / "data"
    # In a thread: playwright has an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        source = long_speech(LENGTHS[channels], channels)
        take = thread.submit(hold, data_dir, source, RENDITIONS[channels]).result()
    with Server(data_dir) as server:
        yield Served(take, server.url, BEST[channels])


@pytest.mark.needs("ffmpeg")
def test_all_of_it_is_heard_and_every_sample_is_in_its_place(served: Served) -> None:
    hear_all(served.take, served.url, served.best)


@pytest.mark.needs("ffmpeg")
def test_ffmpeg_begins_at_any_sample(served: Served) -> None:
    seek_ffmpeg(served.take, served.url, served.seconds)
    seek_pyav(served.take, served.url, served.seconds, served.best)


@pytest.mark.needs("mpv")
def test_mpv_begins_at_any_sample(served: Served, tmp_path: Path) -> None:
    seek_mpv(served.take, served.url, served.seconds[1:3], tmp_path)


@pytest.mark.needs("chromium", "hls.js")
def test_chromium_begins_at_any_second(served: Served, browser: Browser) -> None:
    seek_chromium(served.take, served.url, served.seconds, browser)
