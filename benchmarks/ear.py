"""From a browser's microphone, and from PUT /pcm, to the ear of a listener in Chromium, on the real pages."""

from __future__ import annotations

import contextlib
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
TITLE: Final = "Microphone and source to ear in Chromium"
_COLUMNS: Final = (
    "from",
    "parts a segment",
    "beeps",
    "median",
    "p95",
    "longest",
    "stalls",
    "lost",
    "doubled",
)
_MICROPHONE: Final = "microphone"
_SOURCE: Final = "PUT /pcm"
_PARTS: Final = (5, 10)


def run(*, quick: bool) -> report.Result:
    """One speaker who beeps, one listener, with 5 and with 10 parts."""
    for program in ("chromium", "hls.js"):
        if programs.find(program) is None:
            return report.not_measured(NAME, TITLE, f"{program} is not here (`make test` installs it)")
    seconds = 8.0 if quick else 60.0
    heard = {
        (source, parts): _measure(source, parts, seconds)
        for source in (_MICROPHONE, _SOURCE)
        for parts in _PARTS
    }
    return _result(heard, seconds)


def _measure(source: str, parts: int, seconds: float) -> SourceToEar:
    # Here and not above: without playwright everything else can still be measured.
    from tests.e2e.latency import measure, measure_microphone  # noqa: PLC0415
    from tests.e2e.listener import MAY_PLAY, chromium  # noqa: PLC0415
    from tests.e2e.microphone import beeping, with_microphone  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="longwave-bench-")))
        server = stack.enter_context(Server(directory / "data", env=QUIET))
        browser = stack.enter_context(chromium(MAY_PLAY))
        if source == _SOURCE:
            return measure(server, browser, seconds=seconds, parts=parts)
        sound = beeping(directory / "beeps.wav")
        microphone = stack.enter_context(with_microphone(browser, sound))
        return measure_microphone(server, browser, microphone, seconds=seconds, parts=parts)


def _result(heard: dict[tuple[str, int], SourceToEar], seconds: float) -> report.Result:
    rows = [
        (
            source,
            str(parts),
            str(len(ear.latencies)),
            f"{ear.median:.2f} s",
            f"{ear.p95:.2f} s",
            f"{max(ear.latencies):.2f} s",
            str(ear.stalls),
            str(ear.lost),
            str(ear.doubled),
        )
        for (source, parts), ear in heard.items()
    ]
    low = heard[_MICROPHONE, 10]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(rows),
        notes=(
            f"{seconds:.0f} s each after the page has settled; a beep every 0.5 s; so many parts a segment",
            "microphone: from its capture in one browser to the loudspeaker of another; as original sound",
            "PUT /pcm: from a sender on a clock; the 200 ms with which the intake starts are part of it",
        ),
        targets=(
            report.at_most("microphone to ear with 10 parts, median, s", 0.7, low.median, "{:.3f}"),
            report.at_most("microphone to ear with 10 parts, p95, s", 0.9, low.p95, "{:.3f}"),
            report.at_most("stalls with 10 parts", 0, low.stalls, "{:.0f}"),
        ),
    )
