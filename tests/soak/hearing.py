"""Is a recording the sound that was sent? Decoded, aligned to the sample, compared in half seconds."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.aac import CODEC_OPTIONS
from tests.audio import RATE, beeps, best_lag, speechlike

Pcm = NDArray[np.int16]

WINDOW = RATE // 2
_FRAME = 1024
_PROBE = 4 * RATE
_GOOD_DB = 27.0
# Quieter than this (-50 dBFS) a window is a pause: it has noise, but no ratio to it.
_PAUSE_POWER = 1e-5
# Noise in a pause (-55 dBFS) that nobody minds; above it, by how much it may exceed the continuous encoder's.
_MOST_PAUSE_NOISE = 3e-6
_PAUSE_MARGIN = 1.5


def known_sound(seconds: int) -> Pcm:
    """Speech-like sound with a beep every 5 s; mono at 48 kHz, never the same twice in a recording."""
    n = seconds * RATE
    # In pieces: the generator of speech works in floats, eight bytes a sample.
    speech = np.concatenate([speechlike(min(60 * RATE, n - at), 100 + at) for at in range(0, n, 60 * RATE)])
    mixed = (speech // 2).astype(np.int32) + beeps(seconds, period_samples=5 * RATE)
    sound: Pcm = np.clip(mixed, -32_768, 32_767).astype(np.int16)
    return sound


def decode(source: Path) -> Pcm:
    """All samples of an audio file, mono, by the ffmpeg program: a decoder that is not ours."""
    raw = source.with_suffix(".pcm")
    argv = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(source), "-f", "s16le", "-ac", "1", "-y", str(raw)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300)
    assert not said.stderr, f"ffmpeg complains about {source.name}: {said.stderr[:2000]}"
    return np.fromfile(raw, np.int16)


def continuous_aac(pcm: Pcm, bit_rate: int) -> Pcm:
    """What one encoder that is never restarted makes of `pcm`, decoded again and aligned with it."""
    encoder = av.AudioCodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "fltp"
    encoder.bit_rate, encoder.options = bit_rate, dict(CODEC_OPTIONS)
    encoder.open()
    decoder = av.AudioCodecContext.create("aac", "r")
    decoder.extradata = encoder.extradata
    padded = np.concatenate((pcm, np.zeros(-len(pcm) % _FRAME + 4 * _FRAME, np.int16)))
    decoded: list[NDArray[np.float32]] = []
    for index, block in enumerate(padded.reshape(-1, 1, _FRAME)):
        frame = av.AudioFrame.from_ndarray(block.astype(np.float32) / 32_768, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, index * _FRAME
        for packet in encoder.encode(frame):
            decoded += [out.to_ndarray()[0] for out in decoder.decode(packet)]
    # libavcodec's encoder delays by one frame.
    heard = np.concatenate(decoded)[_FRAME : _FRAME + len(pcm)]
    return np.clip(np.rint(heard * 32_768), -32_768, 32_767).astype(np.int16)


@dataclass(frozen=True)
class Heard:
    """A recording beside its source: where it begins, and signal to noise of every half second.

    `lag` is the sample of the recording at which sample 0 of the source sounds. `margin_db` is, for each
    window, by how much the recording is better than the continuous encoder, both taken as at most 27 dB
    (above that the two differ by which of them had bits to spare). Pauses have their own judgement.
    """

    lag: int
    lag_at_end: int
    snr_db: NDArray[np.float64]
    margin_db: NDArray[np.float64]
    noisy_pauses: int
    missing_samples: int

    @property
    def drift(self) -> int:
        """Samples by which the end lies elsewhere than the beginning says."""
        return self.lag_at_end - self.lag

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{len(self.snr_db)} windows with sound, SNR median {np.median(self.snr_db):.1f} dB, "
            f"worst {np.min(self.snr_db):.1f} dB; against a continuous encoder median "
            f"{np.median(self.margin_db):+.2f} dB, worst {np.min(self.margin_db):+.2f} dB; "
            f"drift {self.drift} samples; {self.missing_samples} samples missing"
        )


def listen(source: Pcm, recording: Pcm, bit_rate: int, *, skip: int = 0) -> Heard:
    """Compare `recording` with `source`, from `skip` samples after the recording's beginning on.

    The recording begins with a frame of the take. The continuous encoder is put on the same frames, so that
    the two differ by nothing but the restarts.
    """
    lag = _lag(source, recording, skip, guess=0, reach=60 * RATE)
    start, stop = max(0, skip - lag), min(len(source), len(recording) - lag)
    lag_at_end = _lag(source, recording, max(skip, stop + lag - _PROBE), guess=lag, reach=5 * RATE)
    offset = lag % _FRAME
    continuous = continuous_aac(np.concatenate((np.zeros(offset, np.int16), source)), bit_rate)[offset:]
    snr, margin, noisy = _windows(
        source[start:stop], recording[start + lag : stop + lag], continuous[start:stop]
    )
    return Heard(lag, lag_at_end, snr, margin, noisy, len(source) - (stop - start))


def _lag(source: Pcm, recording: Pcm, at: int, *, guess: int, reach: int) -> int:
    """The sample of `recording` at which `source` begins, by four seconds that are heard from `at` on.

    They are looked for within `reach` samples of where they lie by `guess`.
    """
    piece = recording[at : at + _PROBE]
    begin = max(0, at - guess - reach)
    region = source[begin : at - guess + len(piece) + reach]
    return at - (begin + best_lag(piece, region).lag)


def _windows(
    source: Pcm, heard: Pcm, continuous: Pcm
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    signal = _power(source)
    noise = _power(heard.astype(np.int32) - source)
    unavoidable = _power(continuous.astype(np.int32) - source)
    sound = signal > _PAUSE_POWER
    ratio = 10 * np.log10(signal[sound] / noise[sound])
    best = 10 * np.log10(signal[sound] / unavoidable[sound])
    allowed = np.maximum(_MOST_PAUSE_NOISE, _PAUSE_MARGIN * unavoidable)
    margin = np.minimum(ratio, _GOOD_DB) - np.minimum(best, _GOOD_DB)
    return ratio, margin, int(np.sum(noise[~sound] > allowed[~sound]))


def _power(samples: NDArray[np.int32] | Pcm) -> NDArray[np.float64]:
    """Mean power of every whole window, full scale 1."""
    whole = len(samples) // WINDOW * WINDOW
    unit = samples[:whole].astype(np.float32) / np.float32(32_768)
    power: NDArray[np.float64] = np.mean(unit.reshape(-1, WINDOW).astype(np.float64) ** 2, axis=1)
    return np.maximum(power, 1e-14)
