"""What a person sees of `longwave publish`: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipeline.grid import SAMPLE_RATE


class View(Protocol):
    """Shows how far the file is and how the connection fares."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def begin(self, title: str, duration: int | None) -> None:
        """Say what is played, and how many samples it has, if that is known."""

    def position(self, samples: int) -> None:
        """Say how far it is."""

    def state(self, text: str) -> None:
        """Say what changed, in a few words."""


class QuietView:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was shown."""

    def begin(self, title: str, duration: int | None) -> None:
        """Nobody looks."""

    def position(self, samples: int) -> None:
        """Nobody looks."""

    def state(self, text: str) -> None:
        """Nobody looks."""


class PlainView(QuietView):
    """A line for every change and no control characters: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._position = 0

    def begin(self, title: str, duration: int | None) -> None:
        """One line."""
        self._print(title if duration is None else f"{title} ({clock_text(duration)})")

    def position(self, samples: int) -> None:
        """Remember it for the next line."""
        self._position = samples

    def state(self, text: str) -> None:
        """One line."""
        self._print(f"{clock_text(self._position)} {text}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class BarView:
    """A progress bar: what is played, position, time left, state."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[position]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.fields[state]}", markup=False),
            console=console,
            refresh_per_second=5,
            expand=True,
        )
        self._duration: int | None = None
        self._task = self._progress.add_task("", total=None, start=False, position="0:00", left="", state="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, title: str, duration: int | None) -> None:
        """Give the bar its name and length."""
        self._duration = duration
        self._progress.start_task(self._task)
        self._progress.update(self._task, description=title, total=duration)

    def position(self, samples: int) -> None:
        """Move the bar."""
        left = "" if self._duration is None else f"-{clock_text(max(0, self._duration - samples))}"
        self._progress.update(self._task, completed=samples, position=clock_text(samples), left=left)

    def state(self, text: str) -> None:
        """Show it beside the bar."""
        self._progress.update(self._task, state=text)


def view_for(console: Console) -> View:
    """A bar where somebody looks at it, lines elsewhere."""
    return BarView(console) if console.is_terminal else PlainView(console)


def clock_text(samples: int) -> str:
    """Samples as `1:02` or `1:02:03`."""
    minutes, seconds = divmod(samples // SAMPLE_RATE, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def printable(text: str) -> str:
    """`text` without what moves a terminal's cursor: file names and answers can hold anything."""
    return "".join(char if char.isprintable() else "?" for char in text)
