"""Make `demo.flac`: two voices (espeak-ng) who say what Longwave is, over chords and a jingle (numpy).

Run it in the checkout: ``.venv/bin/python -m samples.make_samples``. It needs espeak-ng and takes some
seconds. The same version of espeak-ng makes the same sound: chance comes from `SEED` alone.
"""

import io
import subprocess
import wave
from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from samples import DEMO

# Mono at RATE, full scale at 1.0, shape (n,).
Sound = NDArray[np.float64]

RATE = 48_000
SEED = 198  # kHz: the best known long wave
SEGMENT = 2 * RATE  # a loop of whole segments wraps where Longwave cuts anyway

LEAD_IN = 3.4  # seconds of music alone before the first word
LEAD_OUT = 3.0
VOICES_LUFS = -17.0
MUSIC_LUFS = -21.0
UNDER_VOICES_DB = -11.0  # how much the music steps back while somebody speaks
PEAK = 0.89  # -1 dBFS


class Voice(NamedTuple):
    """An espeak-ng voice, with its speed in words a minute and its pitch (0 to 99)."""

    name: str
    speed: int
    pitch: int


ANNA = Voice("en-us+f2", 158, 54)
BEN = Voice("en-gb-x-rp+m3", 156, 38)

# Who says what, and the seconds of pause before it.
SCRIPT = (
    (ANNA, 0.0, "Good evening, and welcome to Longwave."),
    (BEN, 0.5, "Good evening! So, where are we, exactly?"),
    (ANNA, 0.4, "In a room. A live one. A few people speak here, and anyone in the world may listen."),
    (BEN, 0.5, "Anyone? Does every listener not need a line of their own to the speakers?"),
    (ANNA, 0.4, "No. What we say is encoded once, and cut into small parts that any web cache can carry."),
    (ANNA, 0.3, "Ten people, or ten million: for the room it is the same work."),
    (BEN, 0.5, "And how far behind us are they?"),
    (ANNA, 0.4, "About a second. Less, if they ask for it nicely."),
    (BEN, 0.6, "What happens when a machine dies in the middle of a word?"),
    (ANNA, 0.4, "Another one goes on with the same word. Every piece is made from the sound alone,"),
    (ANNA, 0.1, "so whoever makes it makes the same bytes."),
    (BEN, 0.5, "That is rather neat. And tomorrow, when it is all over?"),
    (ANNA, 0.4, "Then there is a replay, with chapters, in any podcast player."),
    (BEN, 0.5, "Lovely. Shall we put on some music?"),
    (ANNA, 0.4, "We should. Stay with us. This was Longwave."),
)

# Four chords of two bars each, in Hz: A minor 9, F major 7, C major 9, G 6.
CHORDS = (
    (110.0, 220.0, 261.6, 329.6, 493.9),
    (87.3, 174.6, 261.6, 329.6, 440.0),
    (130.8, 196.0, 293.7, 329.6, 392.0),
    (98.0, 196.0, 246.9, 329.6, 392.0),
)
CHORD_SECONDS = 3.75
BELLS = (659.3, 784.0, 880.0, 987.8, 1174.7, 1318.5)
JINGLE = ((0.0, 659.3), (0.22, 784.0), (0.44, 987.8), (0.88, 1318.5))  # (seconds, Hz)


def main() -> None:
    """Make the sound and write it beside this file."""
    voices, speaking = place(list(speak()))
    voices = voices * gain_to(VOICES_LUFS, voices)
    tune = music(len(voices))
    tune = tune * gain_to(MUSIC_LUFS, tune) * ducking(speaking)
    mixed = limit(voices + tune)
    write_flac(mixed)
    print(f"{DEMO.name}: {len(mixed) / RATE:.0f} s, {loudness(mixed):.1f} LUFS, {DEMO.stat().st_size} bytes")


def speak() -> Iterator[tuple[float, Sound]]:
    """Each line of the script, as (pause before it in seconds, its sound)."""
    for voice, pause, text in SCRIPT:
        command = [
            "espeak-ng",
            "-v",
            voice.name,
            "-s",
            str(voice.speed),
            "-p",
            str(voice.pitch),
            "--stdout",
            text,
        ]
        made = subprocess.run(command, capture_output=True, check=True).stdout
        with wave.open(io.BytesIO(made)) as file:
            rate = file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        line = trim(resample(pcm / 32_768.0, rate))
        yield pause, line * gain_to(VOICES_LUFS, line)


def resample(sound: Sound, rate: int) -> Sound:
    """From `rate` to RATE, by padding the spectrum: exact for what was below half of `rate`."""
    step = np.gcd(rate, RATE)
    padded = np.concatenate((sound, np.zeros(-len(sound) % (rate // step))))
    n = len(padded) * RATE // rate
    return np.fft.irfft(np.fft.rfft(padded), n) * (RATE / rate)


def trim(sound: Sound) -> Sound:
    """Without the silence at its ends: the script decides the pauses."""
    loud = np.flatnonzero(np.abs(sound) > 0.003)
    return sound[loud[0] : loud[-1] + 1]


def place(lines: list[tuple[float, Sound]]) -> tuple[Sound, Sound]:
    """All lines on one time line, and beside it 1.0 where somebody speaks."""
    talk = sum(round(pause * RATE) + len(line) for pause, line in lines)
    n = round((LEAD_IN + LEAD_OUT) * RATE) + talk
    n += -n % SEGMENT
    voices, speaking = np.zeros(n), np.zeros(n)
    at = round(LEAD_IN * RATE)
    for pause, line in lines:
        at += round(pause * RATE)
        voices[at : at + len(line)] = line
        speaking[at : at + len(line)] = 1.0
        at += len(line)
    return voices, speaking


def music(n: int) -> Sound:
    """Chords that follow one another round and round, bells at random over them, a jingle at both ends."""
    rng = np.random.default_rng(SEED)
    sound = np.zeros(n)
    # A whole number of chords, so that the loop comes round on the first one.
    rounds = round(n / RATE / CHORD_SECONDS / len(CHORDS)) * len(CHORDS)
    length = n / rounds
    for index in range(rounds):
        start, tones = round(index * length), CHORDS[index % len(CHORDS)]
        add(sound, start, pad(tones, round(length * 1.35), rng) * 0.5)
        for beat in rng.choice(8, size=3, replace=False):
            add(sound, start + round(beat * length / 8), bell(rng.choice(BELLS)) * 0.10)
    for seconds, tone in JINGLE:
        add(sound, round((0.6 + seconds) * RATE), bell(tone) * 0.35)
        add(sound, n + round((seconds - LEAD_OUT + 0.8) * RATE), bell(tone) * 0.35)
    return sound


def add(sound: Sound, start: int, piece: Sound) -> None:
    """Mix `piece` in from `start` on; what goes over the end comes in at the beginning: it is a loop."""
    np.add.at(sound, np.arange(start, start + len(piece)) % len(sound), piece)


def pad(tones: tuple[float, ...], n: int, rng: np.random.Generator) -> Sound:
    """A soft chord of `n` samples: each tone three times, a little out of tune, with few harmonics."""
    time = np.arange(n) / RATE
    sound = np.zeros(n)
    for tone in tones:
        for detune in (-0.0015, 0.0, 0.0017):
            phase = 2 * np.pi * (tone * (1 + detune) * time + rng.random())
            sound += np.sin(phase) + 0.22 * np.sin(2 * phase) + 0.06 * np.sin(3 * phase)
    swell = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 0.8
    return sound * swell / (3 * len(tones))


def bell(tone: float) -> Sound:
    """A struck tone that rings out in two seconds."""
    time = np.arange(2 * RATE) / RATE
    ring = np.sin(2 * np.pi * tone * time) * np.exp(-2.6 * time)
    strike = 0.35 * np.sin(2 * np.pi * 2.76 * tone * time) * np.exp(-9.0 * time)
    edges = np.minimum(1.0, np.minimum(time / 0.004, (2.0 - time) / 0.1))
    return (ring + strike) * edges


def ducking(speaking: Sound) -> Sound:
    """The music's gain: it steps back gently while somebody speaks, and stays back over short pauses."""
    width = round(1.2 * RATE)
    kernel = np.hanning(width) / np.sum(np.hanning(width))
    n = len(speaking) + width
    spread = np.fft.irfft(np.fft.rfft(speaking, n) * np.fft.rfft(kernel, n), n)
    share = np.clip(spread[width // 2 : width // 2 + len(speaking)] * 2.0, 0.0, 1.0)
    return 10 ** (share * UNDER_VOICES_DB / 20)


def loudness(sound: Sound) -> float:
    """Integrated loudness of a channel in LUFS (ITU-R BS.1770-4: K weighting, 400 ms blocks, both gates)."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(len(sound)))
    # The two filters of the recommendation's tables 1 and 2, at 48 kHz.
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    highpass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    weighted = np.fft.irfft(np.fft.rfft(sound) * shelf * highpass, len(sound))
    energy = np.concatenate(([0.0], np.cumsum(weighted**2)))
    starts = np.arange(0, max(1, len(sound) - 19_200), 4_800)
    stops = np.minimum(starts + 19_200, len(sound))
    blocks = (energy[stops] - energy[starts]) / (stops - starts)
    blocks = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    blocks = blocks[blocks > np.mean(blocks) / 10]
    return float(-0.691 + 10 * np.log10(np.mean(blocks)))


def gain_to(target: float, sound: Sound) -> float:
    """The factor that brings `sound` to `target` LUFS."""
    return float(10 ** ((target - loudness(sound)) / 20))


def limit(sound: Sound) -> Sound:
    """Peaks bent smoothly so that none passes PEAK; what is below half of that stays as it is."""
    knee = PEAK / 2
    over = np.maximum(np.abs(sound) - knee, 0.0)
    return np.sign(sound) * np.minimum(np.abs(sound), knee + (PEAK - knee) * np.tanh(over / (PEAK - knee)))


def write_flac(sound: Sound) -> None:
    """16 bit, mono, as small as FLAC gets."""
    pcm = np.rint(sound * 32_767).astype(np.int16).reshape(1, -1)
    with av.open(str(DEMO), "w", format="flac") as file:
        stream = file.add_stream("flac", rate=RATE, layout="mono", options={"compression_level": "12"})
        for at in range(0, pcm.shape[1], 4_608):
            frame = av.AudioFrame.from_ndarray(pcm[:, at : at + 4_608], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, at
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


if __name__ == "__main__":
    main()
