"""Ears for a long take: whether what a player gave is the source, with every sample in its place."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.grid import FRAME, SEGMENT
from pipeline.pcm import Pcm
from tests import programs
from tests.audio import BEEP_SECONDS, RATE, Beep, best_lag, find_beeps
from tests.long_take import BEEP_PAUSE, BEEP_PERIOD

# Of a player that was told to begin somewhere: this much is listened to.
PIECE = RATE // 2
_BEEP_WINDOW = BEEP_PAUSE + round(BEEP_SECONDS * RATE) + BEEP_PAUSE
_MILLISECOND = RATE // 1000
_LOUD = 1e-3
_PAUSE = 1e-5
# Frames, a little more than that.
_HALF_SECOND = 24
# How far around its place a sound is looked for, and how alike it has to be there.
_NEIGHBOURS = 3
_ALIKE_DB = 6
# Of 32,768: what is heard of a pause is quieter.
_STIR = 40
_UNIT = np.float32(1 / 32_768)


def by_ffmpeg(address: str | Path, channels: int, *before: str) -> Pcm:
    """What the ffmpeg program decodes, shape (n, channels). `before` are options for the input."""
    argv = [programs.path("ffmpeg"), "-nostdin", "-v", "warning", *before, "-i", str(address)]
    done = subprocess.run([*argv, "-f", "s16le", "-"], capture_output=True, check=True, timeout=120)
    assert done.stderr.decode() == ""
    return np.frombuffer(done.stdout, np.int16).reshape(-1, channels)


def by_mpv(address: str, out: Path, channels: int, *options: str) -> Pcm:
    """What mpv plays, as fast as it can."""
    quiet = ("--no-config", "--no-video", "--really-quiet", "--audio-format=s16")
    target = ("--ao=pcm", "--ao-pcm-waveheader=no", f"--ao-pcm-file={out}")
    layout = "--audio-channels=" + ("mono" if channels == 1 else "stereo")
    argv = [programs.path("mpv"), *quiet, layout, *target, *options, address]
    subprocess.run(argv, capture_output=True, check=True, timeout=120)
    return np.fromfile(out, np.int16).reshape(-1, channels)


def by_pyav(address: str, channels: int, second: float | None = None, most: int = 1 << 62) -> tuple[int, Pcm]:
    """What FFmpeg's library decodes, after a seek if wanted, and the sample that it begins with."""
    frames: list[NDArray[np.float32]] = []
    first = None
    with av.open(address) as container:
        if second is not None:
            container.seek(round(second * 1_000_000))
        for frame in container.decode(audio=0):
            assert frame.pts is not None
            first = frame.pts if first is None else first
            frames.append(frame.to_ndarray().astype(np.float32))
            if len(frames) * FRAME >= most:
                break
    assert first is not None
    sound = np.concatenate(frames, axis=1).T
    assert sound.shape[1] == channels
    return first, np.rint(sound * 32_768).clip(-32_768, 32_767).astype(np.int16)


@dataclass(frozen=True)
class Judged:
    """A recording beside its source.

    `lags` are the samples by which windows of two seconds, one every 30 s, lie elsewhere than they should.
    `snr_db` is of every half second. `worst_frame_db` is noise against signal in the worst of all loud
    frames: a frame that is not there has 0. `join_db` and `elsewhere_db` are the medians of the same for
    frames next to a segment's border and for all others. `beeps` are those at their instant, of `marks`.
    """

    lags: frozenset[int]
    snr_db: NDArray[np.float64]
    worst_frame_db: float
    join_db: float
    elsewhere_db: float
    beeps: int
    marks: int

    def report(self) -> str:
        """The figures for people."""
        return (
            f"lags {sorted(self.lags)}; SNR of half seconds: worst {self.snr_db.min():.1f} dB, median "
            f"{np.median(self.snr_db):.1f} dB; worst frame {self.worst_frame_db:+.1f} dB; at joins "
            f"{self.join_db:.1f} dB, other frames {self.elsewhere_db:.1f} dB; "
            f"{self.beeps} of {self.marks} beeps in place"
        )


def judge(source: Pcm, heard: Pcm) -> Judged:
    """Compare all of a recording, shape (n, channels), with its source."""
    assert 0 <= len(heard) - len(source) < FRAME, f"{len(heard) - len(source)} samples too many"
    heard = heard[: len(source)]
    channels = [(source[:, n], heard[:, n]) for n in range(source.shape[1])]
    powers = [
        (_power(said, FRAME), _power(np.subtract(got, said, dtype=np.int32), FRAME)) for said, got in channels
    ]
    # A frame that is lost is lost in all channels; one that is hard to encode may be so in one of them.
    signal, noise = (np.sum(each, axis=0) for each in zip(*powers, strict=True))
    loud, frames_db = signal > _LOUD, _db(noise, signal)
    joins = [-(-SEGMENT * n // FRAME) for n in range(1, len(source) // SEGMENT)]
    at_join = np.zeros(len(loud), bool)
    at_join[joins], at_join[np.subtract(joins, 1)] = True, True
    # The very first frame fades in, as in every AAC: half of its sound would be in the one before it.
    loud[0] = False
    marks = [Beep(at, at // BEEP_PERIOD % 8) for at in range(BEEP_PERIOD, len(source) - RATE, BEEP_PERIOD)]
    starts = range(0, len(source) - 2 * RATE, 30 * RATE)
    return Judged(
        lags=frozenset(_lag(said, got, start) for said, got in channels for start in starts),
        snr_db=np.concatenate([_windows(*each) for each in powers]),
        worst_frame_db=float(frames_db[loud].max()),
        join_db=float(np.median(frames_db[loud & at_join])),
        elsewhere_db=float(np.median(frames_db[loud & ~at_join])),
        beeps=sum(_in_place(got, marks) for _, got in channels),
        marks=len(marks) * len(channels),
    )


def check_whole(source: Pcm, heard: Pcm) -> str:
    """`heard` is all of `source`, shape (n, channels): nothing lost, moved or clicking. The figures."""
    judged = judge(source, heard)
    said = judged.report()
    assert judged.lags == {0}, said
    assert judged.beeps == judged.marks, said
    assert np.median(judged.snr_db) > 25, said
    assert judged.snr_db.min() > 6, said
    assert judged.worst_frame_db < -1.5, said
    assert judged.join_db < judged.elsewhere_db + 1, said
    return said


def check_from(source: Pcm, heard: Pcm, start: int, *, skip: int = 0, within: int = 0) -> None:
    """`heard` begins with the source's sample `start`, to `within` samples; its first `skip` do not count."""
    reach = within + _NEIGHBOURS
    stop = min(skip + PIECE, len(heard), len(source) - start - reach)
    assert stop > skip + FRAME
    piece = heard[skip:stop]
    # A sample beside its place a low voice is still much like itself, but less so.
    ratios = {
        off: _ratio(source[start + skip + off : start + stop + off], piece)
        for off in range(-reach, reach + 1)
    }
    best = max(ratios, key=ratios.__getitem__)
    if ratios[best] < _ALIKE_DB:
        around = max(0, start - 5 * RATE)
        elsewhere = around + best_lag(piece[:, 0], source[around : start + 5 * RATE, 0]).lag - skip
        raise AssertionError(
            f"{ratios[best]:.1f} dB at {start}; more like what lies {elsewhere - start} later"
        )
    assert abs(best) <= within, f"what should be heard at {start} lies {best} samples beside it"


def check_first_sound(source: Pcm, heard: Pcm, start: int, *, within: int = FRAME) -> None:
    """`heard`, which begins with the first sound from `start` on, has nothing before, and all after."""
    reach = source[start : start + RATE // 4]
    sounding = np.flatnonzero((np.abs(reach.astype(np.int32)) > _STIR).any(axis=1))
    assert len(sounding), "seek to where there is sound"
    # The decoder's noise is heard a little before the sound itself.
    lag = best_lag(heard[FRAME : FRAME + PIECE, 0], source[start : start + RATE, 0]).lag - FRAME
    assert -within <= lag <= sounding[0] + within, f"after a seek to {start}, it begins {lag} samples later"
    check_from(source, heard, start + lag, skip=FRAME)


def _lag(source: NDArray[np.int16], heard: NDArray[np.int16], start: int) -> int:
    begin = max(0, start - RATE)
    return best_lag(source[start : start + 2 * RATE], heard[begin : start + 3 * RATE]).lag - (start - begin)


def _windows(signal: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal to noise of every half second that is no pause, from both in every frame."""
    whole = len(signal) // _HALF_SECOND * _HALF_SECOND
    means = [each[:whole].reshape(-1, _HALF_SECOND).mean(axis=1) for each in (signal, noise)]
    ratio: NDArray[np.float64] = _db(*means)[means[0] > _PAUSE]
    return ratio


def _ratio(source: Pcm, heard: Pcm) -> float:
    noise = np.subtract(heard, source, dtype=np.int32).astype(np.float64)
    power = np.sum(source.astype(np.float64) ** 2)
    return float(10 * np.log10((power + 1) / (np.sum(noise**2) + 1)))


def _in_place(heard: NDArray[np.int16], marks: list[Beep]) -> int:
    """How many beeps are heard within a millisecond of their instant, in their tone."""
    before = np.concatenate((np.zeros(BEEP_PAUSE, np.int16), heard))
    windows = np.concatenate([before[mark.sample : mark.sample + _BEEP_WINDOW] for mark in marks])
    found = {beep.sample // _BEEP_WINDOW: beep for beep in find_beeps(windows)}
    return sum(
        n in found
        and found[n].tone == mark.tone
        and abs(found[n].sample - n * _BEEP_WINDOW - BEEP_PAUSE) <= _MILLISECOND
        for n, mark in enumerate(marks)
    )


def _power(samples: NDArray[np.integer], window: int) -> NDArray[np.float64]:
    """Mean power of every whole window, full scale 1."""
    whole = len(samples) // window * window
    unit = samples[:whole].astype(np.float32) * _UNIT
    power: NDArray[np.float64] = np.mean(unit.reshape(-1, window) ** 2, axis=1, dtype=np.float64)
    return np.maximum(power, 1e-14)


def _db(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = 10 * np.log10(over / under)
    return ratio
