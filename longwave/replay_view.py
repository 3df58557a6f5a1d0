"""`longwave replay` on a terminal, and in a pipe: tables on stdout, progress bars on a terminal's stderr."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from contracts.errors import LongwaveError
from contracts.take import TakeKey
from longwave.logs import configure_logs
from longwave.publish_view import clock_text, printable
from longwave.replay import Finishing, alone, chosen, list_replays, open_storage, parse_key
from pipeline.grid import SAMPLE_RATE
from storage.objects import Objects
from workers.archive.kept import Listed
from workers.archive.verify import verify
from workers.archive.verify_findings import Report
from workers.replay_answers import row_of

if TYPE_CHECKING:
    from longwave.settings import StorageSettings

_STYLES: Final = {
    "published": "green",
    "hidden": "yellow",
    "finishing": "cyan",
    "damaged": "red",
}
_TITLE: Final = 60
# In a pipe nothing has to fit: a line is as long as what it says.
_PIPE: Final = 4096


def run_list(settings: StorageSettings, room: str | None, *, everything: bool, as_json: bool) -> None:
    """Print what replays there are. Raises UsageError and StorageUnavailable."""
    with _storage(settings) as objects:
        with _bar("reading") as progress:
            found = list_replays(objects, room, everything=everything, progress=progress)
        if as_json:
            _print_json({"replays": [row_of(each) for each in found]})
        elif found:
            _print(_listing(found))
            _say(_sum(found))
        else:
            _say("no replays" + ("" if room is None else f" of {room}"))


def run_finish(settings: StorageSettings, names: Sequence[str], *, everything: bool, force: bool) -> None:
    """Finish takes, a line for each. Raises LongwaveError where one still needs somebody."""
    wanted = chosen(names, everything=everything)
    left = 0
    with _storage(settings) as objects, alone(settings) as is_alone:
        work = Finishing(objects, settings, time.time(), alone=is_alone, force=force)
        keys = work.unfinished() if wanted is None else wanted
        if not keys:
            _say("nothing is left to be finished")
        for key in keys:
            with _bar(_name(key)) as progress:
                outcome = work.finish(key, progress)
            left += not outcome.done
            _say(f"{_name(key)}: {outcome.what}")
    if left:
        raise LongwaveError(f"{left} of {len(keys)} takes are not finished")


def run_export(settings: StorageSettings, name: str, out: Path) -> None:
    """Write a replay to a file. Raises LongwaveError, as `replay_export.export` does."""
    from longwave.replay_export import export  # noqa: PLC0415 - it loads what drives ffmpeg

    key = parse_key(name)
    with _storage(settings) as objects:
        with _bar("") as progress:
            done = export(objects, key, out, lambda what, share: progress(round(share * 1000), 1000, what))
        _say(f"{clock_text(done.samples)}, {_size(done.size)}: {done.path}")


def run_verify(settings: StorageSettings, names: Sequence[str], *, everything: bool, as_json: bool) -> None:
    """Read replays again and check all that can be. Raises LongwaveError where something is damaged."""
    wanted = chosen(names, everything=everything)
    with _storage(settings) as objects:
        if wanted is None:
            wanted = [each.key for each in list_replays(objects, None, everything=False)]
        reports = []
        for key in wanted:
            with _bar(_name(key)) as progress:
                reports.append(verify(objects, key, progress))
    if as_json:
        _print_json({"replays": [_report(report) for report in reports]})
    elif reports:
        _print(_verdicts(reports))
        for report in reports:
            for problem in report.problems:
                _say(f"{problem.name}: {problem.what}")
    else:
        _say("no replays")
    damaged = sum(not report.whole for report in reports)
    if damaged:
        raise LongwaveError(f"{damaged} of {len(reports)} replays are damaged")


# ---- tables ------------------------------------------------------------------------------------------------


def _listing(found: Sequence[Listed]) -> Table:
    table = _table("replay", "length", "size", "state", "title")
    for each in found:
        entry = each.entry
        state = each.state if entry is None else ("published" if entry.published else "hidden")
        table.add_row(
            _name(each.key),
            "" if entry is None else clock_text(entry.samples),
            "" if entry is None else _size(entry.size),
            Text(state, style=_STYLES[state]),
            _title("" if entry is None else entry.title),
        )
    return table


def _verdicts(reports: Sequence[Report]) -> Table:
    table = _table("replay", "length", "missing", "objects", "size", "verdict")
    for report in reports:
        table.add_row(
            _name(report.key),
            clock_text(report.samples),
            f"{report.lost / SAMPLE_RATE:.2f} s",
            str(report.objects),
            _size(report.size),
            Text("whole", style="green") if report.whole else Text("damaged", style="red"),
        )
    return table


def _report(report: Report) -> dict[str, object]:
    return {
        "room": report.key.room,
        "take": report.key.take,
        "whole": report.whole,
        "objects": report.objects,
        "fragments": report.fragments,
        "bytes": report.size,
        "samples": report.samples,
        "missing_samples": report.lost,
        "problems": [{"object": each.name, "what": each.what} for each in report.problems],
    }


def _table(*names: str) -> Table:
    """Columns beside one another, without lines; only titles give way on a narrow terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        numbers = name in {"length", "missing", "objects", "size"}
        table.add_column(name, no_wrap=name != "title", justify="right" if numbers else "left")
    return table


def _title(title: str) -> Text:
    text = printable(title)
    short = text if len(text) <= _TITLE else text[: _TITLE - 1] + "…"
    return Text(short, no_wrap=True, overflow="ellipsis")


def _sum(found: Sequence[Listed]) -> str:
    entries = [each.entry for each in found if each.entry is not None]
    length = clock_text(sum(entry.samples for entry in entries))
    noun = "replay" if len(entries) == 1 else "replays"
    return f"{len(entries)} {noun}, {length}, {_size(sum(entry.size for entry in entries))}"


def _name(key: TakeKey) -> str:
    return f"{key.room}/{key.take}"


def _size(size: int) -> str:
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


# ---- the terminal ------------------------------------------------------------------------------------------


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE)
    console.print(table)


def _say(line: str) -> None:
    Console(soft_wrap=True, highlight=False).print(line, markup=False)


def _print_json(document: dict[str, object]) -> None:
    # Here, and not when Python ends: a full disk is to be an error of the command.
    print(json.dumps(document, indent=2), flush=True)  # noqa: T201 - this is the command line


@contextlib.contextmanager
def _storage(settings: StorageSettings) -> Iterator[Objects]:
    """The storage, while it is used; what the workers' code logs goes to stderr, if it matters."""
    configure_logs("warning", "console")
    objects = open_storage(settings)
    try:
        yield objects
    finally:
        objects.close()


class _Bar(Protocol):
    """How far something is: steps done, of how many, and what is being done."""

    def __call__(self, done: int, total: int, what: str | None = None) -> None: ...


@contextlib.contextmanager
def _bar(name: str) -> Iterator[_Bar]:
    """A progress bar where somebody looks at it; it leaves nothing."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def show(done: int, total: int, what: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield show
