"""The sound that all benchmarks send: a minute that is as hard to encode as speech."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from tests.audio import RATE, speechlike

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOOP_SECONDS: Final = 60


@functools.cache
def loop() -> NDArray[np.int16]:
    """One minute of mono PCM at 48 kHz, shape (n,)."""
    return speechlike(LOOP_SECONDS * RATE, 1)
