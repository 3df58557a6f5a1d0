"""Becomes the server that follows, `python -m longwave serve …`, whose encoder crashes on loud sound."""

from __future__ import annotations

import ctypes
import resource
import runpy
import sys
import threading

import numpy as np

from pipeline.pcm import Pcm
from pipeline.segmenter import EncodedPart, Segmenter

LOUD = 25_000

_push = Segmenter.push


def push(self: Segmenter, pcm: Pcm) -> list[EncodedPart]:
    """As a broken encoder does; the probe at the start, which is loud too, is spared."""
    live = threading.current_thread().name.startswith("encode")
    if live and len(pcm) and int(np.abs(pcm.astype(np.int32)).max()) > LOUD:
        ctypes.string_at(0)
    return _push(self, pcm)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Segmenter.push = push  # type: ignore[method-assign]
    sys.argv = sys.argv[3:]  # python -m longwave
    runpy.run_module("longwave", run_name="__main__", alter_sys=True)
