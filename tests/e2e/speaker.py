"""Someone who beeps into a room on a known clock, in real time, over `PUT /pcm/{room}`."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit

from tests.audio import RATE, TONES_HZ, beeps

BLOCK = 960
PERIOD = RATE // 2
# As long as it takes until the same tone comes again.
ROUND_SECONDS = len(TONES_HZ) * PERIOD / RATE


class Speaker:
    """Beep *i* begins at wall time ``epoch + i * PERIOD / RATE``; `with Speaker(url, room) as speaker:`.

    A block leaves when its last sample has been "spoken", as from a microphone. When the server goes away the
    speaker calls again until it answers, and the clock runs on meanwhile.
    """

    def __init__(self, url: str, room: str, *, name: str | None = "beeps", token: str | None = None) -> None:
        self._where = urlsplit(url).netloc
        query = "channels=1" if name is None else f"channels=1&speaker={name}"
        self._path = f"/pcm/{room}?{query}"
        self._headers = _CHUNKED if token is None else {**_CHUNKED, "Authorization": f"Bearer {token}"}
        self._round = beeps(ROUND_SECONDS, period_samples=PERIOD).tobytes()
        self._hung_up = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self.epoch = 0.0
        self.refusals: list[tuple[int, str]] = []

    def __enter__(self) -> Self:
        self.epoch = time.time()
        self._monotonic_epoch = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hung_up.set()
        self._thread.join(timeout=10)
        assert not self._thread.is_alive(), "the server does not let the speaker go"

    def _speak(self) -> None:
        while not self._hung_up.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._call()
            self._hung_up.wait(0.1)

    def _call(self) -> None:
        connection = http.client.HTTPConnection(self._where, timeout=10)
        with contextlib.closing(connection):
            connection.request(
                "PUT", self._path, body=self._blocks(), encode_chunked=True, headers=self._headers
            )
            answer = connection.getresponse()
            if answer.status >= 400:
                self.refusals.append((answer.status, answer.read().decode(errors="replace")))

    def _blocks(self) -> Iterator[bytes]:
        block = int((time.monotonic() - self._monotonic_epoch) * RATE) // BLOCK
        blocks_in_round = len(self._round) // (2 * BLOCK)
        while not self._hung_up.is_set():
            spoken = self._monotonic_epoch + (block + 1) * BLOCK / RATE
            if self._hung_up.wait(max(0.0, spoken - time.monotonic())):
                return
            at = block % blocks_in_round * 2 * BLOCK
            yield self._round[at : at + 2 * BLOCK]
            block += 1


_CHUNKED = {"Transfer-Encoding": "chunked", "Content-Type": "application/octet-stream"}
