"""The chart of docs/benchmarks.md: requests a second at an edge and at its origin, by listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes


class Point(NamedTuple):
    """So many listeners, and requests a second."""

    listeners: int
    edge: float
    origin: float


# Pages are white or nearly black: these stand out from both.
_EDGE: Final = "#2f81f7"
_ORIGIN: Final = "#d9730d"
_INK: Final = "#7d8590"
_TITLE: Final = "Requests a second at the edge and at the origin, by listeners"


def draw(plain: Sequence[Point], low_latency: Sequence[Point], path: Path) -> None:
    """Write the chart to `path` (SVG, without a background), both crowds from few listeners to many."""
    # Letters stay letters, in the reader's own fonts; and the same figures give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "longwave", "font.size": 11}):
        figure = Figure(figsize=(8, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for points, kind, dashes in ((plain, "2-second HLS", "-"), (low_latency, "low latency", "--")):
            where = [point.listeners for point in points]
            edge, origin = [point.edge for point in points], [point.origin for point in points]
            axes.plot(where, edge, dashes, color=_EDGE, marker="o", label=f"at the edge, {kind}")
            axes.plot(where, origin, dashes, color=_ORIGIN, marker="o", label=f"at the origin, {kind}")
        _dress(axes)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Title": _TITLE})


def _dress(axes: Axes) -> None:
    axes.set(xscale="log", yscale="log", xlabel="listeners", ylabel="requests a second")
    axes.set_ylim(bottom=1)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.tick_params(which="both", colors=_INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_minor_locator(NullLocator())
    axes.grid(visible=True, color=_INK, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.legend(frameon=False, labelcolor=_INK, loc="upper left")
