"""What a benchmark hands back, and its two forms: a table on a terminal and one in Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table as RichTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


@dataclass(frozen=True)
class Target:
    """A number to reach, with what was measured. `met` is None where it was not measured."""

    what: str
    target: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Result:
    """The figures of one benchmark: rows of text under columns, notes on how to read them, its targets."""

    name: str
    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    targets: tuple[Target, ...] = field(default=())


def not_measured(name: str, title: str, reason: str) -> Result:
    """A benchmark that could not run, and why."""
    return Result(name, title, notes=(f"not measured: {reason}",))


def at_most(what: str, limit: float, value: float, form: str = "{:.2f}") -> Target:
    """A target that small values reach."""
    return Target(what, "≤ " + form.format(limit), form.format(value), value <= limit)


def at_least(what: str, limit: float, value: float, form: str = "{:.2f}") -> Target:
    """A target that large values reach."""
    return Target(what, "≥ " + form.format(limit), form.format(value), value >= limit)


def show(console: Console, result: Result) -> None:
    """One benchmark on a terminal."""
    _show_table(console, result.title, result.columns, result.rows)
    for note in result.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    console.print()


def show_targets(console: Console, results: Sequence[Result]) -> None:
    """All targets of a run on a terminal."""
    rows = [(t.what, t.target, t.measured, _word(t)) for result in results for t in result.targets]
    _show_table(console, "Targets", ("what", "target", "measured", ""), rows)


def _show_table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]
) -> None:
    table = RichTable(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    if rows:
        console.print(table)
    else:
        console.print(title, style="bold")


def markdown(machine: Sequence[tuple[str, str]], results: Sequence[Result]) -> str:
    """A whole run as a fragment of Markdown."""
    lines = ["| machine | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine), ""]
    targets = [target for result in results for target in result.targets]
    if targets:
        lines += _markdown_table(
            ("what", "target", "measured", ""), [(t.what, t.target, t.measured, _word(t)) for t in targets]
        )
    for result in results:
        lines += [f"### {result.title}", ""]
        if result.rows:
            lines += _markdown_table(result.columns, result.rows)
        lines += [f"- {note}" for note in result.notes]
        lines += [""] if result.notes else []
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = "|".join(["---", *["---:"] * (len(columns) - 1)])
    body = (f"| {' | '.join(row)} |" for row in (columns, *rows))
    return [next(body), f"|{rule}|", *body, ""]


def _word(target: Target) -> str:
    return {True: "met", False: "missed", None: "not measured"}[target.met]


def megabytes(count: float) -> str:
    """`12.3 MB`."""
    return f"{count / 1e6:.1f} MB"


def milliseconds(seconds: float) -> str:
    """`12.3 ms`."""
    return f"{seconds * 1e3:.1f} ms"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of `values` lie (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
