"""`make bench`: measure, print the figures side by side, and write them down if asked to."""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from benchmarks import (
    archiving,
    beside,
    blocked,
    bus,
    cold,
    ear,
    edges,
    encoder,
    latency,
    listeners,
    ranges,
    replay,
    report,
    roles,
    rooms,
    speakers,
    throughput,
)
from benchmarks.machine import describe
from longwave.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BENCHMARKS: Final[Mapping[str, tuple[str, Callable[..., report.Result]]]] = {
    module.NAME: (module.TITLE, module.run)
    for module in (
        *(encoder, rooms, latency, throughput, blocked, speakers, ear),
        *(replay, ranges, beside, archiving, bus, roles, edges, listeners, cold),
    )
}
_PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_BEGIN: Final = "<!-- figures: written by `make bench BENCH=--write` -->"
_END: Final = "<!-- end of figures -->"


def main() -> None:
    """Command line. Exit code 1 where a benchmark broke: a target that was missed is a figure, no error."""
    given = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 130)
    _allow_many_sockets()
    configure_logs("warning", "auto")
    machine = describe()
    for name, value in machine:
        console.print(f"[bold]{name}[/]: {value}", highlight=False)
    console.print()
    began, results, broken = time.monotonic(), [], False
    for name in given.only or BENCHMARKS:
        title, run = BENCHMARKS[name]
        console.print(f"{title} …", style="dim", highlight=False)
        try:
            results.append(run(quick=given.quick))
        except Exception as error:  # noqa: BLE001 - one that breaks must not take the others' figures along
            broken = True
            traceback.print_exc()
            results.append(report.not_measured(name, title, f"it broke: {error}"))
        report.show(console, results[-1])
    report.show_targets(console, results)
    console.print(f"took {(time.monotonic() - began) / 60:.1f} minutes")
    if given.markdown:
        given.markdown.write_text(report.markdown(machine, results), encoding="utf-8")
    if given.write:
        _write(report.markdown(machine, results))
    sys.exit(1 if broken else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", type=_names, metavar="NAME,…", help=f"some of {', '.join(BENCHMARKS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rooms and shorter: a look, not a figure")
    parser.add_argument(
        "--write", action="store_true", help="put the figures of this whole run into docs/benchmarks.md"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the figures of this run there")
    given = parser.parse_args()
    if given.write and (given.only or given.quick):
        parser.error("--write takes a whole run: no --only, no --quick")
    return given


def _names(text: str) -> Sequence[str]:
    names = text.split(",")
    for name in names:
        if name not in BENCHMARKS:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(BENCHMARKS)}")
    return names


def _allow_many_sockets() -> None:
    """As many as this user may open, for this process and all that it starts: 9,000 listeners need 9,000."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _write(figures: str) -> None:
    page = _PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    _, found, after = rest.partition(_END)
    if not found:
        raise SystemExit(f"{_PAGE} has no place for figures: {_BEGIN} … {_END}")
    _PAGE.write_text(f"{before}{_BEGIN}\n\n{figures}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
