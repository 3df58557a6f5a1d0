"""Audio that tests make, and ears to hear it again after it was encoded, cut up, sent and decoded.

Everything is mono at 48 kHz unless said otherwise, and equal for equal arguments.

The clock for the ear is `beeps`: beep *i* begins at sample ``i * period_samples`` and sounds in tone
``i % 8``. So a listener who hears one beep knows where it is to within eight periods, and one who hears two
knows whether something between them was lost, doubled or stretched.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RATE = 48_000

# A fourth apart, none an octave of another: told apart by a 60 ms window (17 Hz), and below
# the cut-off of AAC at 32 kbit/s.
TONES_HZ = (440.0, 586.7, 782.2, 1043.0, 1390.6, 1854.2, 2472.3, 3296.3)

BEEP_SECONDS = 0.060
_EDGE_SECONDS = 0.005
_BEEP_AMPLITUDE = 0.5
_FULL_SCALE = 32_768.0

# Below this a "beep" is leakage or quantisation noise.
_LOWEST_AMPLITUDE = 0.01
# The share of a window's root energy that one tone explains: a beep that lacks a third of itself has 0.8.
_LEAST_LIKENESS = 0.8
_CHUNK = 1 << 17


class Beep(NamedTuple):
    """One beep: the sample it begins at, and its tone, an index into `TONES_HZ`."""

    sample: int
    tone: int


class Match(NamedTuple):
    """Where a reference lies in a recording, and how well: ``recording[lag + i]`` is ``reference[i]``."""

    lag: int
    snr_db: float


def beeps(seconds: float, *, period_samples: int = 48_000, rate: int = RATE) -> NDArray[np.int16]:
    """Beeps on a clock, one every `period_samples` from sample 0 on; none that would be cut off at the end.

    Returns shape (n,) with n = round(seconds * rate).
    """
    pcm = np.zeros(round(seconds * rate), np.int16)
    shape = _beep_shape(rate)
    time = np.arange(len(shape)) / rate
    sounds = [
        np.rint(shape * np.sin(2 * np.pi * tone * time) * _BEEP_AMPLITUDE * _FULL_SCALE).astype(np.int16)
        for tone in TONES_HZ
    ]
    for index, start in enumerate(range(0, len(pcm) - len(shape) + 1, period_samples)):
        pcm[start : start + len(shape)] = sounds[index % len(sounds)]
    return pcm


def find_beeps(
    pcm: NDArray[np.int16] | NDArray[np.floating], *, rate: int = RATE, likeness: float = _LEAST_LIKENESS
) -> list[Beep]:
    """Every beep in `pcm` (shape (n,); floats are full scale at 1.0), in order, to within a millisecond.

    A beep that lacks more than a third, that lies under something as loud, or that is quieter than -40 dBFS
    is not heard. Beeps are at least 120 ms apart. A smaller `likeness` hears beeps that a player has
    stretched or squeezed, when it plays a little slower or faster than life.
    """
    heard = _unit(pcm)
    length = len(_beep_shape(rate))
    if len(heard) < length:
        return []
    strength, tone = _tone_strength(heard, rate)
    # Root of the energy under each window, by differences of a running sum.
    energy = np.concatenate(([0.0], np.cumsum(heard.astype(np.float64) ** 2)))
    root_energy = np.sqrt(np.maximum(energy[length:] - energy[:-length], 1e-12))
    loud = (strength >= likeness * root_energy) & (strength >= _LOWEST_AMPLITUDE * _unit_strength(rate))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.astype(np.int8), [0]))))
    peaks = [int(start + np.argmax(strength[start:stop])) for start, stop in edges.reshape(-1, 2)]
    return [Beep(peak, int(tone[peak])) for peak in _one_each(peaks, strength, length)]


def seeded_noise(n: int, seed: int, *, amplitude: float = 0.1) -> NDArray[np.int16]:
    """White noise of that RMS amplitude (full scale 1.0), shape (n,): what an encoder finds hardest."""
    noise = np.random.default_rng(seed).standard_normal(n) * amplitude
    return _int16(noise)


def speechlike(n: int, seed: int) -> NDArray[np.int16]:
    """Syllables, hisses and pauses with the spectrum and rhythm of speech, shape (n,); it says nothing."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(n)
    at = 0
    while at < n:
        syllable = _syllable(rng)[: n - at]
        sound[at : at + len(syllable)] = syllable
        # Most syllables follow at once, every sixth or so begins a new phrase.
        pause = rng.uniform(0.2, 0.5) if rng.random() < 0.15 else rng.uniform(0.0, 0.04)
        at += len(syllable) + int(pause * RATE)
    return _int16(sound)


def best_lag(
    reference: NDArray[np.int16] | NDArray[np.floating], recording: NDArray[np.int16] | NDArray[np.floating]
) -> Match:
    """Where `reference` lies in `recording` (both (n,)), by cross-correlation, and how alike they are there.

    The lag is negative when the recording lacks the reference's beginning. Nothing is scaled: a change of
    loudness is noise too. Meant for up to a minute or two: it takes some 60 bytes a sample.
    """
    ours, theirs = _unit(reference), _unit(recording)
    size = 1 << (len(ours) + len(theirs) - 1).bit_length()
    spectrum = np.fft.rfft(theirs, size) * np.conj(np.fft.rfft(ours, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)))
    if lag >= len(theirs):
        lag -= size
    return Match(lag, snr_db(ours, theirs, lag))


def snr_db(
    reference: NDArray[np.int16] | NDArray[np.floating],
    recording: NDArray[np.int16] | NDArray[np.floating],
    lag: int = 0,
) -> float:
    """Signal to noise over what both hold: the reference is the signal, the difference the noise.

    Infinite when they are equal, minus infinite when they share nothing.
    """
    ours, theirs = _unit(reference), _unit(recording)
    start, stop = max(0, -lag), min(len(ours), len(theirs) - lag)
    if stop <= start:
        return float("-inf")
    signal = ours[start:stop].astype(np.float64)
    noise = theirs[start + lag : stop + lag] - signal
    signal_power, noise_power = float(np.sum(signal**2)), float(np.sum(noise**2))
    if noise_power == 0.0:
        return float("inf")
    return 10 * math.log10(max(signal_power, 1e-20) / noise_power)


def _beep_shape(rate: int) -> NDArray[np.float64]:
    """The loudness of a beep over its time, 0 to 1, with edges soft enough not to click."""
    shape = np.ones(round(BEEP_SECONDS * rate))
    edge = round(_EDGE_SECONDS * rate)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    shape[:edge] = rise
    shape[-edge:] = rise[::-1]
    return shape


def _unit_strength(rate: int) -> float:
    """What `_tone_strength` gives for a beep of amplitude 1."""
    return float(np.linalg.norm(_beep_shape(rate))) / math.sqrt(2)


def _tone_strength(heard: NDArray[np.float32], rate: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """How strongly a beep seems to begin at each sample, and in which tone: a bank of matched filters.

    The filters are complex, so that the phase a decoder or a browser gave the tone does not matter. The
    strength of a beep is the root of its energy.
    """
    shape = _beep_shape(rate)
    length = len(shape)
    carrier = np.exp(2j * np.pi * np.outer(TONES_HZ, np.arange(length)) / rate)
    filters = carrier * shape / np.linalg.norm(shape) * np.sqrt(2)
    spectra = np.conj(np.fft.fft(filters, _CHUNK))
    starts = len(heard) - length + 1
    strength = np.empty(starts, np.float32)
    tone = np.empty(starts, np.int8)
    # Overlap-save: each chunk answers for the starts whose whole window it holds.
    step = _CHUNK - length + 1
    for at in range(0, starts, step):
        chunk = np.fft.fft(heard[at : at + _CHUNK], _CHUNK)
        count = min(step, starts - at)
        answers = np.abs(np.fft.ifft(chunk * spectra)[:, :count])
        tone[at : at + count] = np.argmax(answers, axis=0)
        strength[at : at + count] = np.max(answers, axis=0)
    return strength, tone


def _one_each(peaks: list[int], strength: NDArray[np.float32], apart: int) -> list[int]:
    """Of peaks closer together than one beep is long, the strongest."""
    kept: list[int] = []
    for peak in peaks:
        if kept and peak - kept[-1] < apart:
            kept[-1] = max(kept[-1], peak, key=lambda sample: float(strength[sample]))
        else:
            kept.append(peak)
    return kept


def _syllable(rng: np.random.Generator) -> NDArray[np.float64]:
    """A hiss now and then, then a vowel: a gliding pitch, heard through three formants."""
    n = int(rng.uniform(0.12, 0.26) * RATE)
    pitch = np.linspace(rng.uniform(100, 180), rng.uniform(90, 170), n)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = (rng.uniform(300, 800), rng.uniform(900, 2200), rng.uniform(2300, 3000))
    harmonics = np.arange(1, 30)
    frequency = harmonics * float(pitch.mean())
    gain = sum(
        np.exp(-(((frequency - formant) / 180) ** 2)) / (1 + index) for index, formant in enumerate(formants)
    )
    vowel = _sines(np.asarray(gain) + 0.02, phase)
    vowel *= np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 0.7
    sound: NDArray[np.float64] = 0.3 * vowel / np.max(np.abs(vowel))
    if rng.random() < 0.4:
        hiss = np.diff(rng.standard_normal(int(0.07 * RATE) + 1))
        sound = np.concatenate((hiss * np.hanning(len(hiss)) * 0.03, sound))
    return sound


def _sines(gains: NDArray[np.float64], phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of `gains[k - 1] * sin(k * phase)`, by Clenshaw's recurrence: with one sine for all of them."""
    twice = 2 * np.cos(phase)
    last, before = np.zeros_like(phase), np.zeros_like(phase)
    for gain in gains[::-1]:
        np.multiply(twice, last, out=(following := np.empty_like(phase)))
        following += gain - before
        last, before = following, last
    return last * np.sin(phase)


def _unit(pcm: NDArray[np.int16] | NDArray[np.floating]) -> NDArray[np.float32]:
    """`pcm` as floats with full scale at 1.0."""
    if pcm.ndim != 1:
        raise ValueError(f"audio of shape {pcm.shape}: give one channel, shape (n,)")
    if np.issubdtype(pcm.dtype, np.integer):
        return pcm.astype(np.float32) / np.float32(_FULL_SCALE)
    return pcm.astype(np.float32)


def _int16(sound: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.clip(np.rint(sound * _FULL_SCALE), -32_768, 32_767).astype(np.int16)
