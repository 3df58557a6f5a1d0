"""A real Chromium on the speaker's page, whose microphone plays a file for ever."""

from __future__ import annotations

import contextlib
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, ViewportSize

from tests.audio import RATE, TONES_HZ, beeps
from tests.e2e.listener import EAR, MAY_PLAY, Listener, launched
from tests.e2e.speaker import PERIOD


def beeping(path: Path) -> Path:
    """A file that, played again and again, beeps on a clock: one beep every `PERIOD`, tones counting up."""
    return recorded(path, beeps(len(TONES_HZ) * PERIOD / RATE, period_samples=PERIOD))


def recorded(path: Path, pcm: NDArray[np.int16]) -> Path:
    """Mono PCM, shape (n,), as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return path


@contextlib.contextmanager
def with_microphone(beside: Browser, sound: Path, *args: str) -> Iterator[Browser]:
    """One more Chromium, whose microphone plays `sound` and needs no permission."""
    with launched(
        beside.browser_type,
        MAY_PLAY,
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
        # A machine may have no other network.
        "--allow-loopback-in-peer-connection",
        *args,
    ) as browser:
        yield browser


class Guest(Listener):
    """Somebody on the speaker's page; `knows` is what the page's read-only `window.longwave` says."""

    def say_name(self, name: str) -> None:
        self.page.get_by_label("Your name").fill(name)

    def go_on_air(self, name: str | None = None, *, original: bool = True) -> dict[str, Any]:
        """As a person does, and until the server lists them. Original sound: beeps are noise to a browser."""
        self.wait_until(lambda knows: knows["room"] == "known", "told about the room")
        if name is not None:
            self.say_name(name)
        self.page.get_by_role("switch", name="Original sound").set_checked(original)
        if self.knows["microphone"] not in {"asking", "open"}:
            self.page.get_by_role("button", name="Use the microphone").click()
        self.wait_until(lambda knows: knows["microphone"] == "open", "with a microphone")
        self.page.get_by_role("button", name="Go on air").click()
        return self.wait_until(lambda knows: knows["state"] == "onair" and knows["take"], "on air")


@contextlib.contextmanager
def speaking(
    browser: Browser, url: str, *, viewport: ViewportSize | None = None, ear: bool = False
) -> Iterator[Guest]:
    """A page on `url` that goes away, without a question, at the end; with an `ear` at its microphone."""
    context = browser.new_context(viewport=viewport)
    try:
        if ear:
            context.add_init_script(EAR)
        page: Page = context.new_page()
        guest = Guest(page)
        page.goto(url)
        yield guest
    finally:
        context.close()
