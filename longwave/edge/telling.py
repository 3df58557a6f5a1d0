"""Telling origins how many listen through an edge: `PUT /edges/{name}/listeners`, every two seconds, to each.

An origin that is away, or slow, costs the others nothing: each is told by a task of its own, and what was not
told in time is told anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog

from contracts.listeners import EdgeReport

log = structlog.get_logger()

REPORT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 2.0


class Teller:
    """Tells one origin at `url`. `report` gives what is to be told, if anything is, `token` what is shown."""

    def __init__(
        self, url: str, name: str, report: Callable[[], EdgeReport | None], token: Callable[[], str] | None
    ) -> None:
        self._url = f"{url.rstrip('/')}/edges/{name}/listeners"
        self._report = report
        self._token = token
        self.trouble: str | None = "not told yet"
        """Why it does not know, None where it does."""

    @property
    def url(self) -> str:
        """What is told."""
        return self._url

    async def tell_for_ever(self, session: aiohttp.ClientSession) -> None:
        """Every `REPORT_SECONDS`, from now on."""
        while True:
            trouble = await self._tell(session)
            if trouble != self.trouble:
                if trouble is None:
                    log.info("an origin is told of listeners", url=self._url)
                else:
                    log.warning("an origin cannot be told of listeners", url=self._url, reason=trouble)
            self.trouble = trouble
            await asyncio.sleep(REPORT_SECONDS)

    async def _tell(self, session: aiohttp.ClientSession) -> str | None:
        """Why it could not be told."""
        report = self._report()
        if report is None:
            return "no access lines come"
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token()}"}
        try:
            async with session.put(
                self._url,
                json=report.to_json(),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
                allow_redirects=False,
            ) as answer:
                return None if answer.ok else f"it answers {answer.status}"
        except TimeoutError:
            return "it gives no answer"
        except aiohttp.ClientError as error:
            return str(error) or type(error).__name__
