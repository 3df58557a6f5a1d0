"""From the source to the ear of a listener in Chromium, on the real player page."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks import report
from benchmarks.live import QUIET
from tests import programs
from tests.server import Server

if TYPE_CHECKING:
    from tests.e2e.latency import SourceToEar

NAME: Final = "ear"
TITLE: Final = "Source to ear in Chromium"
_COLUMNS: Final = ("parts a segment", "beeps", "median", "p95", "longest", "stalls", "lost", "doubled")


def run(*, quick: bool) -> report.Result:
    """One speaker who beeps, one listener, with 5 and with 10 parts."""
    for program in ("chromium", "hls.js"):
        if programs.find(program) is None:
            return report.not_measured(NAME, TITLE, f"{program} is not here (`make test` installs it)")
    # Here and not above: without playwright everything else can still be measured.
    from tests.e2e.latency import measure  # noqa: PLC0415
    from tests.e2e.listener import MAY_PLAY, chromium  # noqa: PLC0415

    seconds = 8.0 if quick else 60.0
    heard = {}
    for parts in (5, 10):
        with (
            TemporaryDirectory(prefix="longwave-bench-") as name,
            Server(Path(name) / "data", env=QUIET) as server,
            chromium(MAY_PLAY) as browser,
        ):
            heard[parts] = measure(server, browser, seconds=seconds, parts=parts)
    return _result(heard, seconds)


def _result(heard: dict[int, SourceToEar], seconds: float) -> report.Result:
    rows = [
        (
            str(parts),
            str(len(ear.latencies)),
            f"{ear.median:.2f} s",
            f"{ear.p95:.2f} s",
            f"{max(ear.latencies):.2f} s",
            str(ear.stalls),
            str(ear.lost),
            str(ear.doubled),
        )
        for parts, ear in heard.items()
    ]
    low = heard[10]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(rows),
        notes=(
            f"{seconds:.0f} s each after the page has settled; a beep every 0.5 s, by PUT /pcm",
            "the 200 ms with which the intake starts are part of it; a microphone's delay is not",
        ),
        targets=(
            report.at_most("source to ear with 10 parts, median, s", 0.7, low.median, "{:.3f}"),
            report.at_most("source to ear with 10 parts, p95, s", 0.9, low.p95, "{:.3f}"),
            report.at_most("stalls with 10 parts", 0, low.stalls, "{:.0f}"),
        ),
    )
