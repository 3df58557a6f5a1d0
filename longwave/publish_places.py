"""The servers that a file may be sent to: one at a time, the next where one is no good."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Sequence

# A process that is frozen keeps its connections, and the kernel takes for it what is sent.
_SIGN_SECONDS: Final = 0.5
_SIGN_PATIENCE: Final = 1.0
_MISSED_SIGNS: Final = 2
# Servers that send each other's guests back and forth.
_MOST_HOPS: Final = 5


@dataclass(slots=True)
class _Here:
    """Where one is: the `number`-th server, or where that one has sent us."""

    number: int
    url: URL
    hops: int = 0


class Places:
    """The addresses to `PUT` to, in the order of preference."""

    def __init__(self, addresses: Sequence[URL]) -> None:
        self._addresses = tuple(addresses)
        self._here = _Here(0, self._addresses[0])
        self._tried = 1

    @property
    def here(self) -> URL:
        """Where to send to now."""
        return self._here.url

    @property
    def several(self) -> bool:
        """There is somewhere else to go."""
        return len(self._addresses) > 1

    def let_in(self) -> None:
        """This one takes what is sent; whatever comes later, the others have not been tried for."""
        self._tried = 1

    def leave(self) -> bool:
        """Go to the next. False once all have been tried, since one let us in: time for a pause."""
        number = (self._here.number + 1) % len(self._addresses)
        self._here = _Here(number, self._addresses[number])
        self._tried += 1
        return self._tried <= len(self._addresses)

    def follow(self, location: str | None) -> bool:
        """Go where the server sends us (RFC 9110 15.4.8). False where that is nowhere to go.

        The token goes along: the server has it, and could do itself what it sends us to do. But who was to be
        asked over TLS is not asked without.
        """
        here = self._here
        try:
            there = here.url.join(URL(location or ""))
        except ValueError:
            return False
        schemes = {"https"} if here.url.scheme == "https" else {"http", "https"}
        if there == here.url or not there.host or there.scheme not in schemes or here.hops == _MOST_HOPS:
            return False
        self._here = _Here(here.number, there, here.hops + 1)
        return True

    async def silent(self, session: aiohttp.ClientSession) -> None:
        """Return when the server gives no sign of life; any answer is one."""
        missed = 0
        timeout = aiohttp.ClientTimeout(total=_SIGN_PATIENCE)
        while missed < _MISSED_SIGNS:
            await asyncio.sleep(_SIGN_SECONDS)
            try:
                async with session.get(
                    self.here.origin() / "healthz", timeout=timeout, allow_redirects=False
                ):
                    missed = 0
            except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
                missed += 1
