"""When a playlist is to be loaded again, and what is asked for then (rfc8216bis 6.3.4, 6.3.7)."""

from __future__ import annotations

from typing import NamedTuple

from longwave.load.lane import Request
from longwave.load.playlists import MediaPlaylist


class Reload(NamedTuple):
    """The next load: `due` is a monotonic instant; `blocking`: the server is to hold it."""

    due: float
    blocking: bool


def next_reload(
    playlist: MediaPlaylist, loaded: Request, now: float, *, changed: bool, low_latency: bool
) -> Reload | None:
    """What follows the load that has given `playlist` at `now`; None after the end."""
    if playlist.ended:
        return None
    if low_latency and playlist.blocks:
        # Answered, though there was nothing new: not what the rules say, and no reason to storm.
        pause = playlist.target / 2 if loaded.waits and not changed else 0.0
        return Reload(now + pause, blocking=True)
    # Counted from when the load before began.
    due = loaded.began + (playlist.target if changed else playlist.target / 2)
    return Reload(max(due, now), blocking=False)


def blocking_path(path: bytes, playlist: MediaPlaylist, age: float) -> bytes:
    """What asks for what comes after `playlist`, which was loaded `age` seconds ago."""
    # 6.2.5.1: of an older playlist more may be missing than what is sent.
    skip = playlist.skip_until is not None and age < playlist.skip_until / 2
    return path + (b"&" if b"?" in path else b"?") + playlist.directives(skip=skip)
