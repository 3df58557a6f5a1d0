"""A channel strip: what one speaker sends, on its way into the mix.

::

    block ─▶ checked ─▶ rumble filter ─▶ level ─▶ mute ─▶ fade in ─▶ held one block ─▶ limit ─▶ fade out ─▶
                              └─▶ voice activity ──┘

A block is held until the next one is there, or is not: a source that breaks off is faded out at the end of
what it sent. Whoever is muted breaks off, and whoever is unmuted begins.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import BLOCK, SAMPLE_RATE
from pipeline.mix.activity import FRAME, Activity
from pipeline.mix.filters import RumbleFilter
from pipeline.mix.leveller import Leveller
from pipeline.mix.limiter import Limiter
from pipeline.mix.samples import Gathered, to_unit
from pipeline.mix.sound import Sound
from pipeline.mix.true_peak import sample_peak

TARGET: Final = {1: -19.0, 2: -16.0}
"""LUFS of a voice by channels: the same amplitude, since loudness adds the channels up."""
ABSURD: Final = 2.0
"""A sample beyond 6 dB over full scale is no sound: decoders overshoot by less."""
FADE: Final = SAMPLE_RATE // 200
"""Samples of every fade, 5 ms: shorter ones click, longer ones eat the consonant."""

Samples = NDArray[np.int16] | NDArray[np.float32]


class Strip:
    """One speaker's strip: blocks of `block` samples with `channels` channels, treated as `sound` says.

    Arrays that go in are kept for a block, not copied.
    """

    def __init__(self, channels: int, sound: Sound, block: int = BLOCK) -> None:
        self.muted = False
        """Set by the host: silence, from the end of the block that is held."""
        self.finished = False
        """The source has sent all that it had to send: as it is, its end is not faded."""
        self.invalid = 0
        """Samples of blocks that were garbage (not a number, absurdly loud): silence was heard instead."""
        self.failed: Exception | None = None
        """What broke in here. Nothing more is heard of this speaker, and nobody else notices."""
        self._shape = (block, channels)
        self._sound = sound
        self._filter = RumbleFilter(channels) if sound.filtered else None
        self._leveller = Leveller(channels, TARGET[channels]) if sound.levelled else None
        self._limiter = Limiter(channels, block, ceiling=1.0)
        self._activity = Activity(channels)
        self._unheard = Gathered(FRAME)
        # What flowed by and was not listened to yet.
        self._unlistened = 0
        self._held: Samples | None = None
        self._goes_on = False
        self.coming: Samples | None = None
        """The block that the next `step` will most probably give out; None: silence."""
        self.exact = False
        """That block came as 16 bits and is to stay as it is."""
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(min(FADE, block)) + 0.5) / min(FADE, block))
        self._rise = rise.astype(np.float32)[:, None]

    @property
    def speaking(self) -> bool:
        """A voice is heard, pauses between words included; never while muted."""
        return self._activity.speaking and not self.muted

    @property
    def quiet_for(self) -> int:
        """Samples before the end of the block that was given out last in which no voice was heard."""
        return max(0, self._activity.quiet_for + self._behind) if self._activity.quiet_for else 0

    @property
    def speaks_for(self) -> int:
        """Samples before the end of the block that was given out last at which the voice began."""
        return max(0, self._activity.speaks_for + self._behind)

    @property
    def _behind(self) -> int:
        """Samples from the last that was listened to, to the end of the block that was given out last."""
        return self._unheard.samples + self._unlistened - self._shape[0]

    def step(self, pcm: Samples | None, *, opening: bool = False) -> Samples | None:
        """Take the source's next block in, and give out the one before; None both ways: silence.

        A block that is shorter says that the source breaks off inside it. `opening`: no sound was ever in
        this take, so that one that is as it is begins with its first sample, not with a fade.

        Raises nothing: see `failed`.
        """
        self._unlistened = 0
        treated = None if self.failed else self._guarded(pcm)
        if self.muted:
            treated = None
        length = 0 if treated is None else len(treated)
        natural = self.finished and self._sound.as_it_is and not (self.muted or self.failed)
        breaks_off = length < self._shape[0] and not natural
        coming = None
        if treated is not None:
            coming = self._placed(treated, breaks_off=breaks_off, opening=opening)
        given = self._given(coming, length, breaks_off=breaks_off)
        self._held, self._goes_on = coming, length == self._shape[0]
        self.coming = coming if coming is None or self.exact else self._limiter.foretell(to_unit(coming))
        return given

    @property
    def flows(self) -> bool:
        """A programme goes on as it is: what comes now is only to be passed on, by `flow`."""
        held = self._held
        steady = self.exact and self._goes_on and not self.muted and not self.failed
        return steady and held is not None and held.dtype == np.int16

    def flow(self, run: NDArray[np.int16]) -> NDArray[np.int16]:
        """`step` for whole blocks in a row, while it `flows`: as many, from the one that was held on."""
        held, block = cast("NDArray[np.int16]", self._held), self._shape[0]
        self._held = self.coming = run[-block:]
        self._unlistened += len(run)
        return np.concatenate((held, run[:-block]))

    def flowed(self, weighted: NDArray[np.float32]) -> None:
        """What `flow` gave out, as the loudness meter weighted it: so a programme is filtered once."""
        self._unlistened = max(0, self._unlistened - len(weighted))
        self._activity.look(weighted)

    def _guarded(self, pcm: Samples | None) -> Samples | None:
        try:
            return self._treated(pcm)
        except Exception as error:  # noqa: BLE001 - whatever it is, the room goes on without this speaker
            self.failed = error
            return None

    def _treated(self, pcm: Samples | None) -> Samples | None:
        """The block after filter and level; the voice in it was listened to."""
        block, channels = self._shape
        if pcm is not None and (pcm.ndim != 2 or pcm.shape[1] != channels or len(pcm) > block):
            raise ValueError(f"a block of shape {pcm.shape} for a strip of {self._shape}")
        if pcm is None or not len(pcm) or not self._sane(pcm):
            self._activity.push_silence(block)
            return None
        self.exact = self._sound.as_it_is and pcm.dtype == np.int16
        if self.exact:
            self._listen(self._unheard.add(cast("NDArray[np.int16]", pcm)))
            treated: Samples = pcm
        else:
            treated = self._processed(to_unit(pcm))
        if len(pcm) < block:
            self._activity.push_silence(block - len(pcm))
        return treated

    def _sane(self, pcm: Samples) -> bool:
        """Not garbage. What is not a number would stay in every filter for ever."""
        if pcm.dtype == np.int16:
            return True
        if pcm.dtype != np.float32:
            raise ValueError(f"samples of type {pcm.dtype}: there are int16 and float32")
        if sample_peak(cast("NDArray[np.float32]", pcm)) <= ABSURD:
            return True
        self.invalid += len(pcm)
        return False

    def _processed(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._filter is not None:
            pcm = self._filter.process(pcm)
        self._listen(pcm)
        if self._leveller is not None:
            pcm = self._leveller.process(pcm, voiced=self._activity.voiced)
        return pcm

    def _listen(self, pcm: NDArray[np.float32] | None) -> None:
        if pcm is not None:
            if self.muted:
                self._activity.push_silence(len(pcm))
            else:
                self._activity.push(pcm)

    def _placed(self, treated: Samples, *, breaks_off: bool, opening: bool) -> Samples:
        """A whole block, with a fade where sound begins or ends in it."""
        block, length = self._shape[0], len(treated)
        if not self._goes_on and not (opening and self._sound.as_it_is):
            treated = to_unit(treated).copy()
            fade = min(length, len(self._rise))
            treated[:fade] *= self._rise[:fade]
        if length == block:
            return treated
        if breaks_off:
            treated = self._faded_out(treated, length)
        return np.concatenate((treated, np.zeros((block - length, self._shape[1]), treated.dtype)))

    def _given(self, coming: Samples | None, length: int, *, breaks_off: bool) -> Samples | None:
        """The block that was held, with a fade where the source turns out to end."""
        held = self._held
        if not self.exact:
            held = self._limited(held, coming)
        if held is not None and breaks_off and self._goes_on:
            held = self._faded_out(held, len(held) + length)
        return held

    def _limited(self, held: Samples | None, coming: Samples | None) -> Samples | None:
        """No speaker is above full scale: a shout must not push down all others until its level is found."""
        if held is None:
            self._limiter.reset()
            return None
        return self._limiter.process(to_unit(held), None if coming is None else to_unit(coming))

    def _faded_out(self, pcm: Samples, end: int) -> NDArray[np.float32]:
        """`pcm` with a fade that ends `end` samples after its beginning, be that inside it or later."""
        faded = to_unit(pcm).copy()
        begin = end - len(self._rise)
        first, last = max(0, begin), min(len(faded), end)
        faded[first:last] *= self._rise[::-1][first - begin : last - begin]
        return faded
