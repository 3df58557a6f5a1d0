"""Requests that were seen before are answered without being parsed again.

Edges and players ask for the same few URLs with the same header fields, byte for byte. The first such
request goes through aiohttp: parsed, routed, decided, answered. Where the answer came from a slot (a
playlist, a segment, a part: whatever stays true until the slot is emptied), the request's bytes are
remembered with it, and the next request of exactly these bytes is answered from the slot at once. Nothing
is parsed here, so there is no second opinion on what a request means: the same bytes at a message boundary
are the same request.

A connection takes part while every chunk that it sends is one whole GET request without a body, which is
how clients send them. The first chunk that is anything else (a body, two requests, half a request) ends
that for the connection.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from prometheus_client import Counter

from contracts.metrics import Metrics
from origin.representation import Representation, Slot

MAX_REQUESTS: Final = 4_096
MAX_REQUEST_BYTES: Final = 2_048
_END: Final = b"\r\n\r\n"
# Fields that bring a body or another protocol. Found anywhere, even in a URL, they only cost the shortcut.
_UNUSUAL: Final = (b"content-length", b"transfer-encoding", b"upgrade", b"expect")


class _Known(NamedTuple):
    """What answers a request, and whether it is a listener's own (1) or an edge's (0)."""

    slot: Slot
    listeners: int


class Memo:
    """Requests as bytes, and the slots that answer them. When `MAX_REQUESTS` are known, all are forgotten."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[bytes, _Known] = {}
        self._counters: dict[str, Counter] = {}

    def learn(self, request: bytes, slot: Slot, *, listens: bool = True) -> None:
        """`request`, of somebody who `listens`, is answered from `slot`."""
        if len(self._known) >= MAX_REQUESTS:
            self._known.clear()
        self._known[request] = _Known(slot, int(listens))

    def recall(self, request: bytes) -> Representation | None:
        """What answers these bytes, counted as answered; None where that has to be found out."""
        known = self._known.get(request)
        if known is None:
            return None
        slot, listeners = known
        representation = slot.representation
        if representation is None:
            return None
        counter = self._counters.get(representation.kind)
        if counter is None:
            labels = (representation.kind, 200)
            counter = self._counters[representation.kind] = self._metrics.http_requests.labels(*labels)
        counter.inc()
        slot.answers += listeners
        return representation


def is_one_plain_get(data: bytes) -> bool:
    """Whether `data` is one whole GET request without a body, as far as its ends and field names show."""
    if not data.startswith(b"GET ") or len(data) > MAX_REQUEST_BYTES:
        return False
    if data.find(_END) != len(data) - len(_END):
        return False
    lower = data.lower()
    return not any(name in lower for name in _UNUSUAL)
