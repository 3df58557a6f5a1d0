"""A channel strip: what is done to one speaker, and that nothing of it clicks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.mix.loudness import LoudnessMeter
from pipeline.mix.samples import to_unit
from pipeline.mix.sound import AS_IT_IS, VOICE, Sound
from pipeline.mix.strip import FADE, TARGET, Samples, Strip
from tests.audio import speechlike

BLOCK = 240
RATE = 48_000
TONE = np.rint(20_000 * np.cos(2 * np.pi * 100 / RATE * np.arange(RATE))).astype(np.int16)[:, None]
# The largest step of the tone, and that of a fade of 5 ms: π/2 over its length.
STEP = 20_000 / 32_768 * (2 * np.pi * 100 / RATE + np.pi / 2 / FADE)


def tone(index: int, samples: int = BLOCK) -> NDArray[np.int16]:
    block: NDArray[np.int16] = TONE[index * BLOCK : index * BLOCK + samples]
    return block


def through(strip: Strip, blocks: Sequence[Samples | None], *, opening: bool = False) -> NDArray[np.float32]:
    """What comes out of `strip` in all, one block later than it goes in; full scale 1.0."""
    given = [strip.step(block, opening=opening) for block in [*blocks, None]][1:]
    return np.concatenate([np.zeros((BLOCK, 1), np.float32) if g is None else to_unit(g) for g in given])


def largest_step(pcm: NDArray[np.float32]) -> float:
    return float(np.abs(np.diff(pcm, axis=0)).max())


def in_silence(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    silence = np.zeros((1, pcm.shape[1]), np.float32)
    return np.concatenate((silence, pcm, silence))


def speaks(strip: Strip) -> bool:
    return strip.speaking


def test_what_is_as_it_is_comes_out_a_block_later_as_the_very_array() -> None:
    strip = Strip(1, AS_IT_IS, BLOCK)
    blocks = [tone(index) for index in range(5)]
    assert strip.step(blocks[0], opening=True) is None
    for before, block in pairwise(blocks):
        assert strip.coming is before
        assert strip.exact
        assert strip.step(block) is before


def test_a_source_that_joins_is_faded_in() -> None:
    out = through(Strip(1, AS_IT_IS, BLOCK), [tone(0), tone(1)])
    assert largest_step(in_silence(out)) <= STEP
    assert abs(out[0, 0]) < 0.001
    assert np.array_equal(out[FADE:BLOCK], to_unit(TONE[FADE:BLOCK]))


def test_a_source_that_breaks_off_is_faded_out_at_the_end_of_what_it_sent() -> None:
    strip = Strip(1, AS_IT_IS, BLOCK)
    out = through(strip, [tone(0), tone(1), None], opening=True)
    assert np.array_equal(out[:BLOCK], to_unit(tone(0)))
    assert largest_step(out) <= STEP
    assert np.count_nonzero(out[BLOCK : 2 * BLOCK]) > BLOCK - 10


@pytest.mark.parametrize("samples", [1, 100, BLOCK - 1])
@pytest.mark.parametrize("sound", [AS_IT_IS, Sound(filtered=True)])
def test_a_source_that_breaks_off_inside_a_block_is_faded_out_to_there(sound: Sound, samples: int) -> None:
    blocks = [tone(0), tone(1), tone(2, samples), None, tone(4), tone(5)]
    out = through(Strip(1, sound, BLOCK), blocks)
    assert largest_step(in_silence(out)) <= STEP
    end = 2 * BLOCK + samples
    assert np.count_nonzero(out[end - BLOCK : end]) > BLOCK - 10
    assert not out[end : 4 * BLOCK].any()


def test_a_source_that_sends_a_few_samples_and_is_gone_does_not_click() -> None:
    out = through(Strip(1, AS_IT_IS, BLOCK), [tone(0, 30), None])
    assert np.abs(out).max() > 0
    assert largest_step(in_silence(out)) <= STEP


def test_longer_blocks_have_fades_of_the_same_length() -> None:
    strip = Strip(1, AS_IT_IS, 960)
    strip.step(TONE[:960])
    out = strip.step(None)
    assert out is not None
    assert np.array_equal(to_unit(out)[FADE : 960 - FADE], to_unit(TONE[FADE : 960 - FADE]))
    assert largest_step(in_silence(to_unit(out))) <= STEP


@pytest.mark.parametrize("samples", [0, 100])
def test_the_end_of_a_body_is_played_as_it_is(samples: int) -> None:
    strip = Strip(1, AS_IT_IS, BLOCK)
    assert strip.step(tone(0), opening=True) is None
    strip.finished = True
    out = through(strip, [tone(1, samples) if samples else None])
    first = strip.step(None)
    assert first is None
    assert np.array_equal(out[:samples], to_unit(tone(1, samples)))
    assert not out[samples:].any()


def test_who_is_muted_when_the_body_ends_is_faded_out() -> None:
    strip = Strip(1, AS_IT_IS, BLOCK)
    strip.step(tone(0), opening=True)
    strip.finished = strip.muted = True
    out = strip.step(None)
    assert out is not None
    assert abs(float(to_unit(out)[-1, 0])) < 0.001


def test_before_its_end_a_body_keeps_its_last_whole_block() -> None:
    strip = Strip(1, AS_IT_IS, BLOCK)
    strip.step(tone(0), opening=True)
    strip.finished = True
    assert strip.step(tone(1, 100)) is not None
    rest = strip.step(None)
    assert rest is not None
    assert rest.dtype == np.int16
    assert rest.tolist() == [*tone(1, 100).tolist(), *[[0]] * (BLOCK - 100)]


def test_mute_and_unmute_are_fades() -> None:
    strip = Strip(1, AS_IT_IS, BLOCK)
    given = []
    for index in range(30):
        strip.muted = 10 <= index < 20
        given.append(strip.step(tone(index)))
    whole = [np.zeros((BLOCK, 1), np.float32) if block is None else to_unit(block) for block in given]
    out = np.concatenate(whole)
    assert largest_step(out[: 29 * BLOCK]) <= STEP
    # The block that was held is the last that is heard of.
    assert [block is None for block in given] == [True] + 10 * [False] + 10 * [True] + 9 * [False]
    assert given[25] is not None
    assert given[25].dtype == np.int16


def test_who_is_muted_does_not_speak() -> None:
    strip = Strip(1, VOICE, BLOCK)
    voice = speechlike(3 * RATE, 1)[:, None]
    blocks = [voice[at : at + BLOCK] for at in range(0, len(voice), BLOCK)]
    for block in blocks[:300]:
        strip.step(block)
    assert speaks(strip)
    strip.muted = True
    assert not speaks(strip)
    for block in blocks[300:]:
        strip.step(block)
    assert not speaks(strip)
    assert strip.quiet_for == pytest.approx((len(blocks) - 300) * BLOCK, abs=2000)
    strip.muted = False
    assert not speaks(strip)


@pytest.mark.parametrize("sound", [AS_IT_IS, VOICE])
def test_who_speaks_and_for_how_long_not_is_known_of_every_sound(sound: Sound) -> None:
    strip = Strip(1, sound, BLOCK)
    voice = speechlike(RATE, 1)[:, None]
    assert not speaks(strip)
    for at in range(0, len(voice), BLOCK):
        strip.step(voice[at : at + BLOCK])
    assert speaks(strip)
    before = strip.quiet_for
    for _ in range(20):
        strip.step(None)
    assert strip.quiet_for - before == pytest.approx(20 * BLOCK, abs=2 * 960)
    for _ in range(RATE // BLOCK):
        strip.step(None)
    assert not speaks(strip)


def test_what_is_missing_of_a_block_is_quiet_too() -> None:
    strip = Strip(1, AS_IT_IS, BLOCK)
    for _ in range(100):
        strip.step(np.zeros((10, 1), np.int16))
    assert strip.quiet_for == pytest.approx(100 * BLOCK, abs=4 * BLOCK)


def test_after_a_pause_a_speaker_is_no_longer_held_down() -> None:
    strip = Strip(1, Sound(filtered=True), BLOCK)
    loud = (1.9 * np.cos(2 * np.pi * 400 / RATE * np.arange(BLOCK))).astype(np.float32)[:, None]
    quiet = loud / 10
    out = through(strip, [loud, loud, None, quiet, quiet])
    assert float(np.abs(out[BLOCK : 2 * BLOCK]).max()) <= 1.0
    assert float(np.abs(out[4 * BLOCK - 60 : 4 * BLOCK]).max()) > 0.17


def test_quiet_and_loud_voices_end_equally_loud_and_at_the_target() -> None:
    heard = []
    for amplitude in (1.0, 0.1):
        strip, meter = Strip(1, VOICE, BLOCK), LoudnessMeter(1)
        voice = (speechlike(20 * RATE, 4) / 32_768 * amplitude).astype(np.float32)[:, None]
        for at in range(0, len(voice), BLOCK):
            block = strip.step(voice[at : at + BLOCK])
            if block is not None and at > 10 * RATE:
                meter.push(to_unit(block))
        heard.append(meter.integrated)
    assert heard == pytest.approx([TARGET[1], TARGET[1]], abs=1.5)


def test_a_filtered_voice_has_no_dc() -> None:
    voice = (0.1 * np.cos(2 * np.pi * 400 / RATE * np.arange(RATE)) + 0.3).astype(np.float32)[:, None]
    blocks: list[Samples | None] = [voice[at : at + BLOCK] for at in range(0, RATE, BLOCK)]
    assert (
        abs(float(through(Strip(1, Sound(filtered=True), BLOCK), blocks)[RATE // 2 : -BLOCK].mean())) < 0.001
    )
    assert through(Strip(1, AS_IT_IS, BLOCK), blocks)[RATE // 2 : -BLOCK].mean() == pytest.approx(
        0.3, abs=0.001
    )


def test_who_was_quiet_and_shouts_is_never_above_full_scale() -> None:
    strip = Strip(1, VOICE, BLOCK)
    voice = (speechlike(12 * RATE, 4) / 32_768).astype(np.float32)[:, None]
    voice[: 10 * RATE] *= 0.02
    out = []
    for at in range(0, len(voice), BLOCK):
        given = strip.step(voice[at : at + BLOCK])
        # Neither in what comes out, nor in what is announced: that is what the others are limited by.
        for block in (given, strip.coming):
            assert block is None or float(np.abs(block).max()) <= 1.0
        out.append(given)
    shout = np.concatenate([block for block in out[10 * RATE // BLOCK + 2 :] if block is not None])
    assert float(np.abs(shout).max()) > 0.8


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 2.1])
@pytest.mark.parametrize("sound", [AS_IT_IS, VOICE])
def test_garbage_is_silence_and_is_counted_and_does_no_lasting_harm(sound: Sound, bad: float) -> None:
    blocks: list[Samples | None] = [to_unit(tone(index)) for index in range(100)]
    broken = to_unit(tone(50)).copy()
    broken[17] = bad
    strip = Strip(1, sound, BLOCK)
    out = through(strip, [*blocks[:50], broken, *blocks[51:]])
    assert strip.invalid == BLOCK
    assert strip.failed is None
    assert np.isfinite(out).all()
    assert not out[50 * BLOCK : 51 * BLOCK].any()
    untouched = through(Strip(1, sound, BLOCK), blocks)
    assert out[-BLOCK:] == pytest.approx(untouched[-BLOCK:], abs=0.05)
    assert np.abs(out[-2 * BLOCK : -BLOCK]).max() > 0.1


@pytest.mark.parametrize(
    "wrong", [np.zeros((BLOCK + 1, 1), np.int16), np.zeros((BLOCK, 2), np.int16), np.zeros((BLOCK, 1))]
)
def test_a_strip_that_breaks_fades_out_says_so_and_stays_silent(wrong: Samples) -> None:
    strip = Strip(1, AS_IT_IS, BLOCK)
    out = through(strip, [tone(0), tone(1), wrong, tone(3), tone(4)])
    assert isinstance(strip.failed, ValueError)
    assert largest_step(in_silence(out)) <= STEP
    assert out[: 2 * BLOCK].any()
    assert not out[2 * BLOCK :].any()


def test_stereo_keeps_its_channels() -> None:
    strip = Strip(2, Sound(filtered=True), BLOCK)
    pcm = np.concatenate((TONE, np.zeros_like(TONE)), axis=1)
    for at in range(0, 10 * BLOCK, BLOCK):
        out = strip.step(pcm[at : at + BLOCK])
    assert out is not None
    assert out.shape == (BLOCK, 2)
    assert np.abs(out[:, 0]).max() > 0.3
    assert not out[:, 1].any()
