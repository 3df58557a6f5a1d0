"""`longwave package` on a terminal: a progress bar while it works, one line when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from longwave.package import package, package_settings, parse_segments
from pipeline.grid import FRAME, SAMPLE_RATE

if TYPE_CHECKING:
    from pathlib import Path


def run_package(
    source: Path, outdir: Path, renditions: str, segments: str | None, channels: int, parts: int
) -> None:
    """Package `source` into `outdir`. Raises UsageError or DiskUnavailable."""
    settings = package_settings(renditions, channels, parts)
    wanted = parse_segments(segments) if segments else None
    columns = (
        TextColumn("packaging"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("segments"),
        TimeRemainingColumn(),
    )
    errors = Console(stderr=True)
    # Where nobody watches, rich would still leave an empty line.
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("", total=None)
        summary = package(
            source,
            outdir,
            settings,
            wanted,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    seconds = summary.frames * FRAME / SAMPLE_RATE
    told = f"{len(summary.segments)} segments, {seconds:.1f} s, {summary.size / 1e6:.1f} MB"
    Console(soft_wrap=True, highlight=False).print(f"{told}: {outdir / 'index.m3u8'}", markup=False)
