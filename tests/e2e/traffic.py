"""What a page asks servers for, by what it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, Request

from origin.cache_policy import Kind
from tests.server import Server

# Of live takes, as paths without what lets into private rooms.
_KINDS = (
    (re.compile(r"/live/[^/]+/index\.m3u8"), Kind.MULTIVARIANT),
    (re.compile(r"/live/.*/index\.m3u8\?.*_HLS_msn=.*"), Kind.BLOCKING_PLAYLIST),
    (re.compile(r"/live/.*/index\.m3u8.*"), Kind.PLAYLIST),
    (re.compile(r"/live/.*/init\.mp4"), Kind.INIT),
    (re.compile(r"/live/.*/[0-9]+\.m4s"), Kind.SEGMENT),
    (re.compile(r"/live/.*/[0-9]+\.[0-9]+\.m4s"), Kind.PART),
)
_REQUESTS = re.compile(r'^longwave_http_requests_total\{kind="(\w+)",.*\} (\S+)$', re.MULTILINE)
IMMUTABLE = (Kind.BLOCKING_PLAYLIST, Kind.INIT, Kind.SEGMENT, Kind.PART)
"""What is the same for all who ask, whenever they do: an edge asks an origin for each of them once."""


class Traffic:
    """The requests of `page` from now on: their `urls` in order, and whom they named as their `referrers`."""

    def __init__(self, page: Page) -> None:
        self.urls: list[str] = []
        self.referrers: set[str] = set()
        page.on("request", self._note)
        # The fields as they go over the network, which the browser has not settled when a request is made.
        network = page.context.new_cdp_session(page)
        network.on("Network.requestWillBeSentExtraInfo", self._note_fields)
        network.send("Network.enable")

    def _note(self, request: Request) -> None:
        if urlsplit(request.url).scheme.startswith("http"):
            self.urls.append(request.url)

    def _note_fields(self, sent: dict[str, Any]) -> None:
        fields = {name.lower(): value for name, value in sent["headers"].items()}
        self.referrers.add(fields.get("referer", ""))

    @property
    def live(self) -> list[str]:
        """What was asked of live takes."""
        return [url for url in self.urls if "/live/" in url]

    def servers(self) -> set[str]:
        """Whom it asked for anything."""
        return servers_of(self.urls)


def servers_of(urls: Iterable[str]) -> set[str]:
    """`http://HOST:PORT` of each."""
    split = [urlsplit(url) for url in urls]
    return {f"{url.scheme}://{url.netloc}" for url in split}


def different(urls: Iterable[str], kind: Kind) -> set[str]:
    """The different paths of that kind, with their queries; whose token led there does not matter."""
    paths = {re.sub(r"^(/p/[^/]+)?", "", re.sub(r"^\w+://[^/]+", "", url)) for url in urls}
    return {path for path in paths if kind_of(path) is kind}


def kind_of(path: str) -> Kind | None:
    """None of what is not of a live take."""
    return next((kind for known, kind in _KINDS if known.fullmatch(path)), None)


def answered(server: Server) -> dict[Kind, int]:
    """How many requests of each kind a server has answered, whatever it said."""
    counts = dict.fromkeys(Kind, 0)
    for kind, count in _REQUESTS.findall(server.get("/metrics").text):
        if kind in counts:
            counts[Kind(kind)] += int(float(count))
    return counts
