"""Into private rooms: a listen token as it was given, or an invitation that is exchanged and renewed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final, Self

import aiohttp
from yarl import URL

from contracts.errors import DependencyError, UsageError
from longwave.load.crowd import Target
from longwave.load.plan import LoadOptions
from longwave.load.tls import client_context

_LISTEN_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\.[1-9][0-9]{0,11}\.[0-9a-f]{64}")
_ROOM: Final = re.compile(rb"/(?:live|listen)/([A-Za-z0-9_-]{1,64})(?:/|\.json)")
_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 2.0
_RENEWED_AT: Final = 2 / 3
"""Of its life."""


class Invitation:
    """What lets a crowd in. `prefix` is what paths begin with: empty for public rooms."""

    def __init__(self, options: LoadOptions, target: Target, prefix: bytes) -> None:
        self.prefix = prefix
        self._token: str | None = None
        self._expires = 0.0
        self._tls = client_context(options.ca)
        self._session: aiohttp.ClientSession
        if options.token is None:
            return
        room = _ROOM.search(target.path)
        if room is None:
            raise UsageError("--token: only for the rooms of a Longwave (…/listen/ROOM)")
        if _LISTEN_TOKEN.fullmatch(options.token):
            self.prefix = b"/p/" + options.token.encode()
            return
        self._token = options.token
        self._url = URL(str(target.base)) / "rooms" / room[1].decode() / "listen-token"

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            if self._token is not None:
                await self._exchange()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def renew(self, tell: Callable[[bytes], None]) -> None:
        """Exchange it again in time, for as long as this runs, and `tell` the new prefix."""
        while self._token is not None:
            await asyncio.sleep(max(_RETRY_SECONDS, _RENEWED_AT * (self._expires - time.time())))
            try:
                await self._exchange()
            except DependencyError:
                continue
            tell(self.prefix)

    async def _exchange(self) -> None:
        """Ask for a listen token. Raises DependencyError."""
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with self._session.post(self._url, headers=headers, ssl=self._tls) as answer:
                if answer.status != 201:
                    raise DependencyError(f"no listen token: {self._url.host} answers {answer.status}")
                found = await answer.json(content_type=None)
                path, self._expires = str(found["path"]), float(found["expires"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            raise DependencyError(f"no listen token: {type(error).__name__}") from None
        self.prefix = path.encode()
