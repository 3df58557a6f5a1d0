"""The verdict on a room of voices: all of them are heard, in step, equally loud, without clicks, or not.

It is the same over a take in virtual time and over one that came out of a server by HLS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tests.audio import RATE
from tests.room_ear import Found, Sound, clicks, find, loudness, true_peak_db
from tests.room_of_voices import CAST, MUTED, Span, Voice, all_speak, mutes, speaks_alone

_EARLIER: Final = RATE // 10
_LATER: Final = 6 * RATE // 10
"""Words are looked for from 100 ms before they were said to 600 ms after."""
_LOOK: Final = RATE // 100
_PAUSE_POWER: Final = 1e-5


@dataclass(frozen=True)
class Verdict:
    """All that can be measured of a mix. Each of `together` and `alone` is what was found in one window.

    `lag` in there is the way from the mouth to the mix, in samples. `loudness` in LUFS is that of each voice
    while it was alone, of everything after the first cycle.
    """

    together: tuple[Mapping[str, Found], ...]
    alone: tuple[Mapping[str, Found], ...]
    loudness: Mapping[str, float]
    true_peak_db: float
    clicks: tuple[int, ...]

    @property
    def spread_ms(self) -> float:
        """The most that two who spoke at the same instant lie apart in the mix."""
        return max(spread(window) for window in self.together)

    @property
    def drift_ms(self) -> float:
        """The most that anybody has moved against the clock since the first window."""
        first, last = self.together[0], self.together[-1]
        return max(abs(last[name].lag - first[name].lag) for name in first) * 1000 / RATE

    @property
    def loudness_difference(self) -> float:
        """LU between the loudest voice and the quietest."""
        return max(self.loudness.values()) - min(self.loudness.values())

    def report(self) -> str:
        """The figures for people."""
        spreads = ", ".join(f"{spread(window):.1f}" for window in self.together)
        least = {
            voice.name: min((window[voice.name].clearness for window in self.together), default=0.0)
            for voice in CAST
        }
        return "\n".join(
            [
                f"five voices in {len(self.together)} windows: lags spread by {spreads} ms",
                f"nobody moved by more than {self.drift_ms:.2f} ms",
                "at least so many times clearer than at any other lag: "
                + ", ".join(f"{name} {clearness:.1f}" for name, clearness in least.items()),
                "mouth to mix, alone: "
                + ", ".join(
                    f"{name} {found.lag / RATE * 1000:.0f} ms" for name, found in self.alone[-1].items()
                ),
                "loudness: "
                + ", ".join(f"{name} {level:.1f}" for name, level in self.loudness.items())
                + " LUFS",
                f"true peak {self.true_peak_db:.2f} dBTP, {len(self.clicks)} clicks",
            ]
        )


def spread(window: Mapping[str, Found]) -> float:
    """Milliseconds between the first and the last of those who speak at once."""
    lags = [found.lag for found in window.values()]
    return (max(lags) - min(lags)) * 1000 / RATE


def judge(mix: Sound, began: int) -> Verdict:
    """The verdict over a mix whose sample 0 is the room's instant `began`."""
    length = began + len(mix)
    # What is said last is still on its way when a room is closed.
    whole = length - _LATER
    alone = {voice: speaks_alone(voice, length) for voice in CAST}
    return Verdict(
        together=tuple(
            {voice.name: _found(voice, window, mix, began) for voice in CAST} for window in all_speak(whole)
        ),
        alone=tuple(
            {voice.name: _found(voice, span, mix, began) for voice, span in zip(CAST, spans, strict=True)}
            for spans in zip(*alone.values(), strict=True)
        ),
        loudness={
            voice.name: loudness([mix[span.start - began : span.stop - began] for span in spans[1:]])
            for voice, spans in alone.items()
            if len(spans) > 1
        },
        true_peak_db=true_peak_db(mix),
        # A take ends when it is ended, be it in the middle of a word.
        clicks=tuple(clicks(mix[: -RATE // 10])),
    )


def _found(voice: Voice, span: Span, mix: Sound, began: int) -> Found:
    first = max(0, span.start - began - _EARLIER)
    found = find(voice.says(span), mix[first : span.stop - began + _LATER])
    return found._replace(lag=found.lag + first + began - span.start)


# ---- what was told -----------------------------------------------------------------------------------------


def assert_told(record: Any, began: int, slack: int) -> None:  # noqa: ANN401 - parsed JSON
    """take.json tells who was there, who spoke and who was muted when, within `slack` samples."""
    length = began + int(record["samples"])
    told = {speaker["name"]: speaker for speaker in record["speakers"]}
    assert sorted(told) == [voice.name for voice in CAST]
    for voice in CAST:
        visits = voice.visits_until(length)
        _assert_like(told[voice.name]["joined"], visits, began, slack)
        for span in speaks_alone(voice, length):
            for name, speaker in told.items():
                share = _share(speaker["spoke"], span, began)
                own = name == voice.name
                # Short pauses are told as speech, long ones are not.
                assert share > _voiced(voice, span) - 0.15 if own else share < 0.2, (span, name, share)
        muted = mutes(length) if voice.name == MUTED else []
        _assert_like(told[voice.name]["muted"], muted, began, slack)


def _voiced(voice: Voice, span: Span) -> float:
    """How much of `span` is not a pause."""
    words = voice.says(span) / np.float32(voice.level)
    power = np.mean(words[: len(words) // _LOOK * _LOOK].reshape(-1, _LOOK) ** 2, axis=1)
    return float(np.mean(power > _PAUSE_POWER))


def _assert_like(told: Sequence[Sequence[int]], spans: Sequence[Span], began: int, slack: int) -> None:
    instants = [[max(0, instant - began) for instant in span] for span in spans]
    assert len(told) == len(instants), (told, instants)
    for ours, theirs in zip(told, instants, strict=True):
        assert all(abs(one - other) <= slack for one, other in zip(ours, theirs, strict=True)), (ours, theirs)


def _share(spans: Sequence[Sequence[int]], window: Span, began: int) -> float:
    """How much of `window` lies in `spans`, which are counted from the take's beginning."""
    inside = sum(
        max(0, min(stop + began, window.stop) - max(start + began, window.start)) for start, stop in spans
    )
    return inside / (window.stop - window.start)
