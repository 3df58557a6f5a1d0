"""Opus packets to float32 sound: libopus, called through ctypes.

libavcodec's decoder knows neither in-band FEC nor concealment of a length of our choosing, and both are
what a late or lost packet is answered with. libopus knows them, and PyAV's wheel brings it along; where PyAV
was built against the system's libraries, the system's libopus is taken. ctypes gives the GIL away while it
decodes.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import weakref
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import DependencyError, SpeakerError
from pipeline.grid import SAMPLE_RATE

LONGEST: Final = 5_760
"""Samples of the longest packet there is: 120 ms (RFC 6716 3.2.5, R5)."""
GRAIN: Final = 120
"""Losses are filled in multiples of 2.5 ms, the shortest frame."""
_MOST_FRAMES: Final = 48
_CELT_ONLY: Final = 0x80
_STEREO: Final = 0x04
_TWENTY_MS: Final = 960
# What an honest encoder overshoots full scale by is a few dB; forged packets decode to 100,000 times of it.
_LOUDEST: Final = np.float32(2.0)


class BadOpus(SpeakerError):
    """A payload that is not an Opus packet. Its sender's fault, and nobody else's trouble."""


class OpusMissing(DependencyError):
    """There is no libopus to decode with."""


def samples_of(payload: bytes) -> int:
    """How many samples at 48 kHz `payload` decodes to, 120 to 5760 (RFC 6716 3.1 and 3.2).

    Raises BadOpus when it keeps one of the rules of RFC 6716 3.4 not. What is inside the frames is not looked
    at: any bytes decode to something there.
    """
    library = _library()
    sizes = (ctypes.c_int16 * _MOST_FRAMES)()
    if library.opus_packet_parse(payload, len(payload), None, None, sizes, None) <= 0:
        raise BadOpus(f"a payload of {len(payload)} bytes is not an Opus packet")
    samples: int = library.opus_packet_get_nb_samples(payload, len(payload), SAMPLE_RATE)
    return samples


def carries_fec(payload: bytes) -> bool:
    """`payload` also holds a coarser copy of the frame before it (LBRR, RFC 6716 4.2.4). Raises BadOpus."""
    samples_of(payload)
    sizes, offset = (ctypes.c_int16 * _MOST_FRAMES)(), ctypes.c_int()
    _library().opus_packet_parse(payload, len(payload), None, None, sizes, ctypes.byref(offset))
    if payload[0] & _CELT_ONLY or not sizes[0]:
        return False
    # A SILK frame begins with a voice flag for each of its 20 ms and one LBRR flag; so does its side channel.
    # Each is one bit of even odds, and so lies bare at the top of the first byte.
    frame: int = _library().opus_packet_get_samples_per_frame(payload, SAMPLE_RATE)
    flags, voiced = payload[offset.value], max(1, frame // _TWENTY_MS)
    mid, side = flags >> (7 - voiced) & 1, flags >> (6 - 2 * voiced) & 1
    return bool(mid or (payload[0] & _STEREO and side))


class OpusDecoder:
    """The decoder of one stream, to `channels` (1 or 2) whatever the stream has. One thread at a time.

    Every packet of a stream goes through `decode`, in order; a lost one is filled by `recover` from the
    packet that follows it, or by `conceal`. Sound is float32 of shape (n, channels), full scale 1.0; it may
    overshoot that a little, by 6 dB at most. Raises OpusMissing when there is no libopus.
    """

    def __init__(self, channels: int) -> None:
        self._library = _library()
        self._sound = np.empty((LONGEST, channels), np.float32)
        self._address = self._sound.ctypes.data
        failure = ctypes.c_int()
        state = self._library.opus_decoder_create(SAMPLE_RATE, channels, ctypes.byref(failure))
        if not state:
            raise ValueError(f"libopus has no decoder for {channels} channels (error {failure.value})")
        self._state = state
        weakref.finalize(self, self._library.opus_decoder_destroy, state)

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        """The sound of `payload`, shape (samples_of(payload), channels). Raises BadOpus, and is as it was."""
        samples_of(payload)
        return self._run(payload, LONGEST, fec=False)

    def recover(self, following: bytes, samples: int) -> NDArray[np.float32]:
        """The `samples` that were lost before `following`, from the FEC in it; concealed where it has none.

        One frame is all that FEC holds: what was lost before that is concealed. `following` itself is decoded
        after this. Raises BadOpus; ValueError when `samples` is not a multiple of `GRAIN` up to `LONGEST`.
        """
        samples_of(following)
        return self._run(following, _fillable(samples), fec=True)

    def conceal(self, samples: int) -> NDArray[np.float32]:
        """The sound so far drawn out over a loss of `samples`; it fades within some 60 ms.

        Raises ValueError when `samples` is not a multiple of `GRAIN` up to `LONGEST`.
        """
        return self._run(None, _fillable(samples), fec=False)

    def _run(self, payload: bytes | None, most: int, *, fec: bool) -> NDArray[np.float32]:
        size = len(payload) if payload is not None else 0
        count = self._library.opus_decode_float(self._state, payload, size, self._address, most, int(fec))
        if count < 0:
            raise BadOpus(f"a payload of {size} bytes cannot be decoded (libopus error {count})")
        sound: NDArray[np.float32] = self._sound[:count].copy()
        # Not written as `> _LOUDEST`: this way NaN, which a filter would never forget, is too loud as well.
        if not (sound.max() <= _LOUDEST and sound.min() >= -_LOUDEST):
            return np.clip(np.nan_to_num(sound), -_LOUDEST, _LOUDEST)
        return sound


def _fillable(samples: int) -> int:
    if samples % GRAIN or not 0 < samples <= LONGEST:
        raise ValueError(f"{samples} samples: losses are filled in multiples of {GRAIN}, up to {LONGEST}")
    return samples


@cache
def _library() -> ctypes.CDLL:
    """libopus, with the types of what is called. Raises OpusMissing."""
    name = _bundled() or ctypes.util.find_library("opus")
    if name is None:
        raise OpusMissing("no libopus, in PyAV's wheel or on the system (Debian: apt install libopus0)")
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise OpusMissing(f"{name} cannot be loaded ({error})") from error
    packet, number, pointer = ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p
    library.opus_packet_parse.argtypes = [packet, number, pointer, pointer, pointer, pointer]
    library.opus_packet_get_nb_samples.argtypes = [packet, number, number]
    library.opus_packet_get_samples_per_frame.argtypes = [packet, number]
    library.opus_decoder_create.argtypes = [number, number, pointer]
    library.opus_decoder_create.restype = pointer
    library.opus_decoder_destroy.argtypes = [pointer]
    library.opus_decoder_destroy.restype = None
    library.opus_decode_float.argtypes = [pointer, packet, number, pointer, number, number]
    return library


def _bundled() -> str | None:
    """The libopus that lies beside the package `av`, which is looked up and not imported."""
    spec = importlib.util.find_spec("av")
    if spec is None or spec.origin is None:
        return None
    beside = Path(spec.origin).parents[1] / "av.libs"
    return next((str(path) for path in sorted(beside.glob("libopus-*.so*"))), None)
