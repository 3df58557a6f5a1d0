"""What hosts and speakers are told of a take that lives: values, true at one moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contracts.take import TakeKey

SpeakerKind = Literal["pcm", "ws", "whip"]
"""How a speaker is connected: `PUT /pcm`, WebSocket, WHIP."""


@dataclass(frozen=True, slots=True)
class LiveSpeaker:
    """A connection in the take. `joined` is the sample at which it was first heard, None before that.

    `muted` by the host or by itself; `counts` says what became of what it sent.
    """

    name: str | None
    kind: SpeakerKind
    speaking: bool
    muted: bool
    joined: int | None
    counts: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """As `GET /rooms/{room}` tells it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "speaking": self.speaking,
            "muted": self.muted,
            "joined": self.joined,
            **self.counts,
        }


@dataclass(frozen=True, slots=True)
class LiveTake:
    """A take at sample `sample`; loudness is its programme's, in LUFS (ITU-R BS.1770), None while unknown."""

    key: TakeKey
    epoch_us: int
    sample: int
    speakers: tuple[LiveSpeaker, ...]
    integrated: float | None
    short_term: float | None

    def to_json(self) -> dict[str, object]:
        """As `GET /rooms/{room}` tells it."""
        return {
            "take": self.key.take,
            "epoch_us": self.epoch_us,
            "sample": self.sample,
            "speakers": [speaker.to_json() for speaker in self.speakers],
            "loudness": {"integrated": _rounded(self.integrated), "short_term": _rounded(self.short_term)},
        }


def _rounded(lufs: float | None) -> float | None:
    """To a tenth; JSON has no number for the loudness of silence."""
    return None if lufs is None or not math.isfinite(lufs) else round(lufs, 1)
