"""Any story that up to five speakers can play: nothing clicks, nothing is over, and no sample is missing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mix.limiter import CEILING
from pipeline.mix.mixer import Mixer
from pipeline.mix.samples import to_unit
from pipeline.mix.sound import AS_IT_IS, Sound
from pipeline.mix.strip import FADE, Samples, Strip
from pipeline.mix.true_peak import true_peak

BLOCK = 240
RATE = 48_000
FILTERED = Sound(filtered=True)
# What rounding to 16 bits adds.
ROUNDED = 0.6 / 32_768

# What one of the speakers does for some blocks: it sends, has nothing to send, is not there, is muted, or
# breaks off inside every block.
ACTS = st.sampled_from(["sends", "sends", "sends", "nothing", "absent", "muted", "short"])
STORIES = st.lists(
    st.lists(st.tuples(ACTS, st.integers(1, 6)), min_size=4, max_size=10), min_size=1, max_size=5
)
KINDS = st.lists(st.sampled_from(["programme", "float", "filtered"]), min_size=5, max_size=5)
AMPLITUDE = 0.85  # under the ceiling: a programme alone is not limited


class Actor:
    """A speaker with a tone of its own, who plays a story."""

    def __init__(self, story: list[tuple[str, int]], kind: str, index: int) -> None:
        self.strip = Strip(1, FILTERED if kind == "filtered" else AS_IT_IS, BLOCK)
        self.acts = [act for act, times in story for _ in range(times)]
        hertz = 40.0 + 15 * index
        time = np.arange(len(self.acts) * BLOCK) / RATE
        tone = AMPLITUDE * np.sin(2 * np.pi * hertz * time + index + 1.0)[:, None]
        self.tone: Samples = tone.astype(np.float32)
        if kind == "programme":
            self.tone = np.rint(tone * 32_767).astype(np.int16)
        # A gap is a jump for the filter: behind it the tone may be more than twice as high.
        self.height = AMPLITUDE * (2.5 if kind == "filtered" else 1.0)
        self.largest_step = self.height * (2 * np.pi * hertz / RATE + np.pi / 2 / FADE)

    def play(self, at: int) -> list[tuple[Strip, Samples | None]]:
        act = self.acts[at] if at < len(self.acts) else "absent"
        self.strip.muted = act == "muted"
        block = self.tone[at * BLOCK : (at + 1) * BLOCK]
        if act == "absent":
            return []
        if act == "nothing":
            return [(self.strip, None)]
        return [(self.strip, block[: 37 * at % BLOCK] if act == "short" else block)]


@settings(max_examples=100, deadline=None)
@given(STORIES, KINDS)
def test_whatever_they_do_nothing_clicks_and_nothing_is_over(
    stories: list[list[tuple[str, int]]], kinds: list[str]
) -> None:
    actors = [Actor(story, kinds[index], index) for index, story in enumerate(stories)]
    length = max(len(actor.acts) for actor in actors)
    mixer = Mixer(1, BLOCK, resumed=True)
    blocks = [mixer.mix([part for actor in actors for part in actor.play(at)]) for at in range(length + 1)]
    assert mixer.idle
    silence = np.zeros((BLOCK, 1), np.int16)
    out = to_unit(np.concatenate([silence if block is None else block for block in blocks]))
    assert out.shape == ((length + 1) * BLOCK, 1)
    assert true_peak(out) <= CEILING + ROUNDED
    # What the sources and their fades have, and the gain where together they are over.
    height = sum(actor.height for actor in actors)
    limit = sum(actor.largest_step for actor in actors) + (0.009 * height if height > CEILING else 0)
    assert np.abs(np.diff(out[:, 0], prepend=0, append=0)).max() <= limit + 2 * ROUNDED
