"""From a part's last sample to the release of a waiting listener, with 50 rooms on one core.

Two clocks are read. The server's histogram begins with the part's last sample. The listeners'
figure begins at the instant of that sample on the take's clock (the playlist's PROGRAM-DATE-TIME, to the
millisecond) and ends when a blocked listener has the whole playlist.
"""

from __future__ import annotations

import contextlib
import re
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks import report
from benchmarks.crowd import Arrival, Crowd
from benchmarks.live import fed_rooms
from contracts.position import Position
from pipeline.grid import SAMPLE_RATE, Grid, first_sample
from tests.soak.running import on_cores, scrape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.server import Server

NAME: Final = "latency"
TITLE: Final = "From a part's last sample to the release of its listeners, 50 rooms on one core"
_COLUMNS: Final = ("from", "to", "n", "p50", "p99", "max")
_SERVER_CORE: Final = {0}
_OTHER_CORE: Final = {1}
_GRID: Final = Grid(5)
_HISTOGRAM: Final = "longwave_part_latency_seconds_bucket"


class Follower:
    """One room's listener: which part it waits for, and when that part's last sample was."""

    def __init__(self, server: Server, room: str) -> None:
        master = server.get(f"/live/{room}/index.m3u8").text
        rendition = next(line for line in master.splitlines() if line.endswith("64k/index.m3u8"))
        self._path = f"/live/{room}/{rendition}"
        text = server.get(self._path).text
        self._epoch = _epoch(text)
        found = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="(\d+)\.(\d+)\.m4s"', text)
        self._next = Position(int(found[0][0]), int(found[0][1]))

    def path(self) -> str:
        """The blocking request for the next part."""
        return f"{self._path}?_HLS_msn={self._next.msn}&_HLS_part={self._next.part}"

    def received(self, wall: float) -> float:
        """The next part is here: seconds since its last sample."""
        last_sample = self._epoch + _GRID.stop_sample(self._next) / SAMPLE_RATE
        self._next = _GRID.after(self._next)
        return wall - last_sample


def _epoch(playlist: str) -> float:
    """The UTC instant of sample 0, from the playlist's dates; their rounding is evened out."""
    sequence = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", playlist)
    first = int(sequence[1]) if sequence else 0
    dates = re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)", playlist)
    # The open segment's date may stand in the list too, after all the others.
    epochs = [
        datetime.fromisoformat(date).timestamp() - first_sample(first + index) / SAMPLE_RATE
        for index, date in enumerate(dates)
    ]
    return sum(epochs) / len(epochs)


def run(*, quick: bool) -> report.Result:
    """Follow every room for some time."""
    rooms, seconds = (20, 10.0) if quick else (50, 40.0)
    with (
        TemporaryDirectory(prefix="longwave-bench-") as name,
        on_cores(_OTHER_CORE),
        fed_rooms(rooms, Path(name), server_cores=_SERVER_CORE, sender_cores=_OTHER_CORE) as server,
    ):
        time.sleep(6)
        before = scrape(server)
        delays = follow(server, rooms, seconds)
        after = scrape(server)
    buckets = bucket_counts(before, after)
    return _result(rooms, delays, buckets)


def follow(server: Server, rooms: int, seconds: float) -> list[float]:
    """Delays of all parts of all rooms, each at its listener."""
    followers = [Follower(server, f"room-{index}") for index in range(rooms)]
    # Where the two clocks stand to each other; over a minute they do not part by anything that matters.
    wall = time.time() - time.monotonic()
    delays: list[float] = []
    with contextlib.closing(Crowd(server.port, rooms)) as crowd:
        for index, follower in enumerate(followers):
            crowd.ask(index, follower.path())
        deadline = time.monotonic() + seconds
        first = [True] * rooms
        while time.monotonic() < deadline:
            for arrival in crowd.arrivals(0.5):
                _check(arrival)
                delay = followers[arrival.listener].received(arrival.at + wall)
                # The first one was not waited for.
                if not first[arrival.listener]:
                    delays.append(delay)
                first[arrival.listener] = False
                crowd.ask(arrival.listener, followers[arrival.listener].path())
    return delays


def _check(arrival: Arrival) -> None:
    if arrival.status != 200:
        raise RuntimeError(f"room-{arrival.listener}: a blocked listener got {arrival.status}")


def bucket_counts(
    before: Mapping[str, float], after: Mapping[str, float], histogram: str = _HISTOGRAM
) -> list[tuple[float, float]]:
    """Upper bound and cumulative count of each bucket of the histogram, between two scrapes."""
    buckets = []
    for name, value in after.items():
        if name.startswith(histogram + "{"):
            bound = float(name.split('le="', 1)[1].split('"', 1)[0])
            buckets.append((bound, value - before.get(name, 0.0)))
    return sorted(buckets)


def bucket_percentile(buckets: Sequence[tuple[float, float]], percent: float) -> float:
    """The percentile by linear interpolation in its bucket."""
    wanted = buckets[-1][1] * percent / 100
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted and count > below:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    return low


def _result(rooms: int, delays: list[float], buckets: list[tuple[float, float]]) -> report.Result:
    p99 = bucket_percentile(buckets, 99)
    ear_p99 = report.percentile(delays, 99) * 1e3
    heard = [report.milliseconds(report.percentile(delays, percent)) for percent in (50, 99, 100)]
    held = [report.milliseconds(bucket_percentile(buckets, percent)) for percent in (50, 99)]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        (
            ("last sample", "release at the origin", f"{buckets[-1][1]:.0f}", *held, "–"),
            ("instant of the last sample", "a listener has the playlist", str(len(delays)), *heard),
        ),
        notes=(
            f"{rooms} rooms with 5 parts a segment; senders and listeners are on the other core",
            "42.7 ms are the codec's look-ahead of two frames, and sound comes in blocks of 5 ms",
            "a server that is late measures one part where it makes several: then its n is the smaller one",
        ),
        targets=(
            report.at_most(f"p99 from last sample to release, {rooms} rooms, ms", 65.0, p99 * 1e3, "{:.1f}"),
            report.at_most(
                f"p99 from the sample's instant to a listener, {rooms} rooms, ms", 65.0, ear_p99, "{:.1f}"
            ),
        ),
    )
