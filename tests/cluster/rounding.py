"""Becomes the process that follows, `python -m longwave worker …`, on a processor without SIMD.

FFmpeg rounds differently there, and so its fingerprint is another one, and some of its bytes are.
"""

from __future__ import annotations

import ctypes
import re
import runpy
import sys
from pathlib import Path

import av

if __name__ == "__main__":
    # The libavutil that PyAV brought, found where the system has mapped it.
    found = re.search(r"/[^\n]*libavutil[^\n]*", Path("/proc/self/maps").read_text())
    assert found, av.library_versions
    ctypes.CDLL(found[0]).av_force_cpu_flags(0)
    sys.argv = sys.argv[3:]  # python -m longwave
    runpy.run_module("longwave", run_name="__main__", alter_sys=True)
