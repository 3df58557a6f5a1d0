"""FFmpeg's own WHIP client as a program: `python -m tests.ffmpeg_whip URL [OPTION=VALUE…] < pcm`.

What it reads (s16le, mono, 48 kHz) is sent as it becomes due, 20 ms at a time. A process of its own, since
libavformat waits for the server with Python's lock held.
"""

import sys
import time
from fractions import Fraction

import av
import numpy as np

_RATE = 48_000
_FRAME = 960


def main(url: str, options: dict[str, str]) -> None:
    pcm = np.frombuffer(sys.stdin.buffer.read(), "<i2")
    with av.open(url, "w", format="whip", options=options) as output:
        stream = output.add_stream("libopus", rate=_RATE, layout="stereo")
        output.start_encoding()
        begin = time.monotonic()
        for start in range(0, len(pcm) - _FRAME + 1, _FRAME):
            frame = av.AudioFrame.from_ndarray(
                np.repeat(pcm[start : start + _FRAME], 2)[np.newaxis], "s16", "stereo"
            )
            frame.sample_rate, frame.pts, frame.time_base = _RATE, start, Fraction(1, _RATE)
            time.sleep(max(0.0, begin + start / _RATE - time.monotonic()))
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


if __name__ == "__main__":
    main(sys.argv[1], dict(option.split("=", 1) for option in sys.argv[2:]))
