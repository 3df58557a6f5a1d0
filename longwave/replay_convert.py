"""An m4a into MP3, WAV or FLAC by the ffmpeg program: title and artist come along, in MP3 chapters too."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import ffmpeg

from contracts.errors import DependencyError, UsageError
from pipeline.grid import SAMPLE_RATE

FORMATS: Final[Mapping[str, Mapping[str, str]]] = {
    # Variable bit rate: about 100 kbit/s for a voice, and a seek table in its first frame.
    ".mp3": {"format": "mp3", "acodec": "libmp3lame", "q:a": "2"},
    # `rf64`: beyond 4 GB, which is 6 hours of stereo, a plain WAV cannot say its length.
    ".wav": {"format": "wav", "acodec": "pcm_s16le", "rf64": "auto"},
    ".flac": {"format": "flac", "acodec": "flac", "sample_fmt": "s16"},
}
"""What ffmpeg is told, by the suffix of what is to be made."""
# What only MP4 knows: elsewhere they would be comments that tell nobody anything. Empty is left out.
_MP4_ONLY: Final = ("major_brand", "minor_version", "compatible_brands", "media_type", "podcast")
# The lines that `-progress` writes; between them stand ffmpeg's complaints.
_PROGRESS_LINE: Final = re.compile(r"([a-z0-9_]+)=(.*)")
_COMPLAINTS: Final = 3


def convert(source: Path, out: Path, suffix: str, samples: int, progress: Callable[[float], None]) -> None:
    """Decode the first `samples` of `source` and encode them into `out`; whatever was there is overwritten.

    Raises UsageError where there is no ffmpeg, DependencyError where it fails.
    """
    complaints: deque[str] = deque(maxlen=_COMPLAINTS)
    with _running(_command(source, out, suffix, samples)) as process:
        for line in process.stderr or ():
            text = line.decode(errors="replace").strip()
            told = _PROGRESS_LINE.fullmatch(text)
            if told is None:
                complaints.append(text)
            elif told[1] == "out_time_us" and told[2].isdigit():
                progress(min(int(told[2]) * SAMPLE_RATE / 1e6 / max(samples, 1), 1.0))
    if process.returncode:
        reason = "; ".join(complaints) or f"exit code {process.returncode}"
        raise DependencyError(f"ffmpeg could not make the {suffix[1:]}: {reason}")


def _command(source: Path, out: Path, suffix: str, samples: int) -> ffmpeg.nodes.OutputStream:
    # `file:` because a name may begin as an address does, or with a dash.
    sound = ffmpeg.input(f"file:{source}").audio.filter("atrim", end_sample=samples)
    without = {f"metadata:g:{index}": f"{name}=" for index, name in enumerate(_MP4_ONLY)}
    made = ffmpeg.output(sound, f"file:{out}", map_metadata=0, map_chapters=0, **without, **FORMATS[suffix])
    quiet = ("-nostdin", "-loglevel", "error", "-nostats", "-progress", "pipe:2")
    return made.global_args(*quiet).overwrite_output()


@contextlib.contextmanager
def _running(command: ffmpeg.nodes.OutputStream) -> Iterator[subprocess.Popen[bytes]]:
    """The program while it works; it does not outlive who waits for it."""
    try:
        process: subprocess.Popen[bytes] = command.run_async(pipe_stderr=True)
    except FileNotFoundError:
        raise UsageError("ffmpeg was not found: install it, or export to .m4a, which needs none") from None
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
