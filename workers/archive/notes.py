"""What only the node that archived a take knows of it, handed to whoever finishes the take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.take_record import Span

if TYPE_CHECKING:
    from pipeline.replay.peaks import Peaks


@dataclass(frozen=True, slots=True)
class ArchiveNotes:
    """`lost` are spans of samples that were given up, each with the reason; `peaks` were measured while live.

    Without them a take is finished all the same: its gaps have no reason then, and its peaks are decoded.
    """

    lost: tuple[tuple[Span, str], ...] = ()
    peaks: Peaks | None = None
