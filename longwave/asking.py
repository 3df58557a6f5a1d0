"""Asks a running server over HTTP, for the commands that look at it from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
from yarl import URL

from contracts.errors import DependencyError, LongwaveError
from longwave.publish_view import printable
from longwave.server_urls import server_urls
from longwave.trust import trusting

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

_SECONDS: Final = 10.0
_MOST_BYTES: Final = 16 * 2**20


class NoAnswer(DependencyError):
    """No server answers, or not in JSON. It may a moment later."""


class Refused(LongwaveError):
    """A server's own word: its message, and the status that came with it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Which server: `url` is one, or several with commas between. `ca`: certificates (PEM) to check it by."""

    url: str
    token: str | None = None
    ca: Path | None = None

    def urls(self) -> list[URL]:
        """One or more addresses. Raises UsageError."""
        return server_urls(self.url)

    def tls(self) -> ssl.SSLContext | bool:
        """How an https server is checked. Raises UsageError."""
        return trusting(self.ca)


class Asking:
    """A connection to whichever of the servers answers: the last one that did, as long as it does."""

    def __init__(self, options: ServerOptions, *, seconds: float = _SECONDS) -> None:
        self._urls = options.urls()
        self._tls = options.tls()
        self._headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession

    @property
    def name(self) -> str:
        """The server that answered last, or is asked first."""
        url = self._urls[0]
        return printable(str(url.with_user(None)).rstrip("/"))

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, **query: str) -> dict[str, Any]:
        """The answer, a JSON object. Raises Refused, NoAnswer."""
        trouble: NoAnswer | None = None
        for _ in self._urls:
            try:
                return await self._ask(method, self._urls[0].join(URL(path)).with_query(query))
            except NoAnswer as error:
                trouble = trouble or error
                self._urls.append(self._urls.pop(0))
        raise trouble or NoAnswer("no server to ask")

    async def _ask(self, method: str, url: URL) -> dict[str, Any]:
        try:
            async with self._session.request(method, url, ssl=self._tls) as answer:
                body = await answer.content.read(_MOST_BYTES)
                status = answer.status
        except TimeoutError:
            raise NoAnswer(f"{self.name} gives no answer") from None
        except aiohttp.ClientError as error:
            raise NoAnswer(f"{self.name} cannot be reached: {printable(str(error))}") from None
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise NoAnswer(f"{self.name} answers {status}, and not as Longwave does")
        if status >= 400:
            raise Refused(f"{self.name} says {status}: {printable(str(found.get('error', '')))}", status)
        return found
