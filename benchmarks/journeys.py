"""From sending a voice's packet to its sound on the bus: beeps whose packets were dated, found in a take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pipeline.decode import decode_pcm
from tests.audio import RATE, Beep, find_beeps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.server import Server

BLOCK: Final = 240
_ONE_TONE_AGAIN: Final = 4.0
# libopus looks ahead by so much; it is part of the sound.
_LOOKAHEAD: Final = 312


class Journey(NamedTuple):
    """A beep's first packet was sent at `sent`, in seconds since 1970; `seconds` later it was on the bus."""

    sent: float
    seconds: float


def journeys(server: Server, room: str, said: str, directory: Path) -> list[Journey]:
    """All beeps that the playlist of the room's live take lists; `said` is what publishers say."""
    epoch = server.get(f"/rooms/{room}").json["live"]["epoch_us"] / 1e6
    sent = [line.split() for line in said.splitlines()]
    instants = [(int(tone), float(at)) for _, tone, at in sent]
    return [*arrived(find_beeps(_take(server, room, directory)), instants, epoch)]


def arrived(beeps: Sequence[Beep], sent: Sequence[tuple[int, float]], epoch: float) -> Iterator[Journey]:
    """Pair `beeps` of a take that began at `epoch` with the tones and instants that were `sent`."""
    by_tone: dict[int, list[float]] = {}
    for tone, at in sent:
        by_tone.setdefault(tone, []).append(at)
    for beep in beeps:
        # A block is on the bus when it is over.
        over = epoch + ((beep.sample - _LOOKAHEAD) // BLOCK + 1) * BLOCK / RATE
        before = [at for at in by_tone.get(beep.tone, []) if 0 <= over - at < _ONE_TONE_AGAIN]
        if before:
            yield Journey(max(before), over - max(before))


def _take(server: Server, room: str, directory: Path) -> NDArray[np.int16]:
    """What listeners get of the take, from its sample 0 on, shape (n,)."""
    master = server.get(f"/live/{room}/index.m3u8").text
    take = re.search(r"([0-9TZ]+-[a-z2-7]{6})/64k", master)
    if take is None:
        raise RuntimeError(f"no take to listen to: {master}")
    segments = re.findall(r"^\d+\.m4s$", server.media_playlist(room, "64k"), re.MULTILINE)
    names = ["init.mp4", *segments]
    path = directory / "take.mp4"
    path.write_bytes(b"".join(server.get(f"/live/{room}/{take[1]}/64k/{name}").body for name in names))
    return np.concatenate(list(decode_pcm(path, 1)))[:, 0]
