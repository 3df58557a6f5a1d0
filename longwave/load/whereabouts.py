"""Where one listener listens: a server, and paths there; and how it moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from longwave.load.base import Base
from longwave.load.playlists import Place
from longwave.load.tally import Tally
from longwave.load.tiers import Standing

_FLAP_SECONDS: Final = 60.0
"""Back within this at a tier that one has left: it was not worth the move."""

Server = tuple[Base, bytes]
"""A server, and what all paths there begin with."""


class Whereabouts:
    """A path in three pieces: what the server's begin with, the token of a private room, and the rest.

    `choose` is given servers, and gives one of them, or None where none may be loaded.
    """

    __slots__ = ("_choose", "_left", "_path", "_start", "_tally", "_token", "base", "standing")

    def __init__(
        self, server: Server, token: bytes, tally: Tally, choose: Callable[[Sequence[Server]], Server | None]
    ) -> None:
        self.base, self._start = server
        self._token = token
        self._path = b""
        self._tally = tally
        self._choose = choose
        self._left: dict[str, float] = {}
        self.standing: Standing | None = None

    @property
    def path(self) -> bytes:
        """The playlist that is followed."""
        return self._start + self._token + self._path

    def follow(self, path: bytes) -> None:
        """A playlist at `path`, without what may stand before it."""
        self._path = path

    def follow_variant(self, place: Place) -> None:
        """A playlist as the one before it names it."""
        self.base = place.base or self.base
        before = self._start + self._token
        if place.path.startswith(before):
            self._path = place.path.removeprefix(before)
        else:
            self._start, self._token, self._path = b"", b"", place.path

    def renewed(self, token: bytes) -> None:
        """The token's successor; of no use to who has none."""
        if self._token:
            self._token = token

    def told(self, standing: Standing, token: bytes, now: float) -> None:
        """A room said where to listen: go there, if that is somewhere else, with the playlist as it is.

        Bytes and sequence numbers are equal on all tiers.
        """
        before, self.standing = self.standing, standing
        self._token = token if standing.private else b""
        if before is not None and before.tier != standing.tier:
            self._count_move(before.tier, standing.tier, now)
        elif (self.base, self._start) in standing.bases:
            return
        self.elsewhere()

    def elsewhere(self) -> None:
        """Any of the tier's servers: perhaps another one, where this one fails."""
        if self.standing is None:
            return
        chosen = self._choose(self.standing.bases)
        if chosen is None:
            self._tally.counts["error.listen.not allowed"] += 1
        else:
            self.base, self._start = chosen

    def _count_move(self, tier: str, to: str, now: float) -> None:
        counts = self._tally.counts
        counts[f"move.{tier}>{to}"] += 1
        if now - self._left.get(to, -_FLAP_SECONDS) < _FLAP_SECONDS:
            counts["flaps"] += 1
        self._left[tier] = now
