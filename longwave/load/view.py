"""What is seen of a crowd while it listens: a table on a terminal, a line a second elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from longwave.load.report import HONEST_LAG_SECONDS, errors, requests, unheard
from longwave.load.tally import Tally


class View(Protocol):
    """Shows how a crowd fares."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def show(self, seconds: float, tally: Tally) -> None:
        """What was counted after so many seconds; called about once a second."""


class Figures:
    """Rows of names and figures; rates are those since the last time."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._requests = 0
        self._bytes = 0

    def rows(self, seconds: float, tally: Tally) -> list[tuple[str, str]]:
        """All of it, the most important first."""
        counts = tally.counts
        passed = max(seconds - self._seconds, 1e-3)
        asked, size = requests(tally), sum(tally.under("bytes").values())
        rate, pace = (asked - self._requests) / passed, (size - self._bytes) / passed / 1e6
        self._seconds, self._requests, self._bytes = seconds, asked, size
        here = counts["arrived"] - counts["left"] - counts["finished"]
        waiting = max(0, counts["arrived"] - tally.time("tune_in").number)
        dry = max(0, counts["stalls"] - tally.time("stall").number)
        lag = max(tally.time(name).quantile(0.99) or 0.0 for name in ("lag.requests", "lag.loop"))
        stalls = f"{counts['stalls']} of {counts['rebuffered']} listeners"
        silence = ", ".join(f"{why} {seconds:.1f} s" for why, seconds in unheard(tally).items())
        rows = [
            ("listeners", f"{here:,}"),
            ("tuned in", f"{counts['tuned_in']:,}"),
            ("not yet", f"{waiting:,}"),
            ("dry now", f"{dry:,}"),
            ("rebuffers", stalls),
            ("not heard", f"{silence} of {counts['unheard_listeners']} listeners"),
            ("behind live p50 / p99", _quantiles(tally, "distance")),
            ("tune-in p50 / p99", _quantiles(tally, "tune_in")),
            ("requests/s", f"{rate:,.0f}"),
            ("MB/s", f"{pace:,.1f}"),
            ("errors", f"{errors(tally):,}"),
            ("abandoned", f"{sum(tally.under('abandoned').values()):,}"),
            ("lag p99", f"{lag * 1e3:.0f} ms" + (" (not honest)" if lag > HONEST_LAG_SECONDS else "")),
        ]
        if tally.under("move"):
            moves = " ".join(f"{name} {count:,}" for name, count in tally.under("move").items())
            rows.append(("moves", f"{moves}, {counts['flaps']} flaps"))
        return rows


class TableView:
    """A table that is written anew every second."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._figures = Figures()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, seconds: float, tally: Tally) -> None:
        """Write it anew."""
        table = Table(title=f"{seconds:.0f} s", show_header=False)
        for name, figure in self._figures.rows(seconds, tally):
            table.add_row(name, figure)
        self._live.update(table, refresh=True)


class LineView:
    """A line a second, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._figures = Figures()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    def show(self, seconds: float, tally: Tally) -> None:
        """One line."""
        rows = self._figures.rows(seconds, tally)
        line = "; ".join(f"{name} {figure}" for name, figure in rows)
        self._console.print(f"{seconds:.0f} s: {line}", markup=False, highlight=False, soft_wrap=True)


def view_for(console: Console) -> View:
    """A table where somebody looks at it, lines elsewhere."""
    return TableView(console) if console.is_terminal else LineView(console)


def _quantiles(tally: Tally, name: str) -> str:
    times = tally.time(name)
    values = [times.quantile(share) for share in (0.5, 0.99)]
    return " / ".join("–" if value is None else f"{value:.2f}" for value in values) + " s"
