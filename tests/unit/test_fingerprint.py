from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from pipeline.fingerprint import encoder_fingerprint, probe

ROOT = Path(__file__).parents[2]
# The libavutil that PyAV brought, found where the system has mapped it.
FORCE_CPU_FLAGS = """
import ctypes, re, av
library = next(m[0] for m in re.finditer(r"/[^\\n]*libavutil[^\\n]*", open("/proc/self/maps").read()))
ctypes.CDLL(library).av_force_cpu_flags(0)
"""


def in_another_process(before: str = "") -> str:
    script = f"{before}\nfrom pipeline.fingerprint import encoder_fingerprint\nprint(encoder_fingerprint())"
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True, timeout=50
    ).stdout.strip()


def test_it_is_a_sha256_and_every_process_here_computes_the_same() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", encoder_fingerprint())
    assert in_another_process() == encoder_fingerprint()


def test_it_tells_an_encoder_that_rounds_differently() -> None:
    # FFmpeg without its SIMD paths, as on a processor that lacks them.
    assert in_another_process(FORCE_CPU_FLAGS) != encoder_fingerprint()


def test_the_probe_is_the_same_everywhere() -> None:
    stereo = probe(200_000, 2)
    assert stereo.dtype == np.int16
    some = [[25841, 25841], [15455, -3129], [21838, 24293], [3721, 3644], [-755, 1823]]
    assert stereo[[0, 9_607, 48_000, 192_000, 192_007]].tolist() == some
    assert np.array_equal(probe(200_000, 1), stereo[:, :1])
