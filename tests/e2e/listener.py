"""A real Chromium on the player page: what it shows, what it plays, what it has loaded."""

from __future__ import annotations

import base64
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, BrowserType, Page, ViewportSize, sync_playwright

from tests import programs
from tests.audio import find_beeps

EAR = (Path(__file__).parent / "ear.js").read_text()

# Playing 4 to 8 % faster, Chromium takes up to 20 ms out of a beep of 60; and a tone goes on in another phase
# where a few periods were cut out of a late voice. In silence nothing else is like a beep at all.
STRETCHED = 0.3

# Nothing leaves this machine, nothing is asked, and the page may play without a gesture.
ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MAY_PLAY = "--autoplay-policy=no-user-gesture-required"


@dataclass(frozen=True)
class Heard:
    """One beep in the listener's ear: when (seconds since 1970, by this machine's clock), and its tone."""

    at: float
    tone: int


class Listener:
    """One page on one room. Values come from the page's read-only `window.longwave`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self._starts: list[tuple[int, float]] = []
        self._sound: list[NDArray[np.int16]] = []
        self._samples = 0
        self._rate = 48_000
        self._latency = 0.0
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @property
    def knows(self) -> dict[str, Any]:
        """The page's own diagnostics."""
        values: dict[str, Any] = self.page.evaluate("window.longwave ?? {}")
        return values

    def wait_until(
        self, condition: Callable[[dict[str, Any]], bool], what: str, seconds: float = 30.0
    ) -> dict[str, Any]:
        """Poll the page's diagnostics until `condition` holds; the last values are part of the failure."""
        deadline = time.monotonic() + seconds
        while not condition(values := self.knows):
            assert time.monotonic() < deadline, f"not {what} within {seconds} s: {values}; {self.errors}"
            self.page.wait_for_timeout(50)
        return values

    def wait_for_state(self, state: str, seconds: float = 30.0) -> dict[str, Any]:
        return self.wait_until(lambda knows: knows.get("state") == state, state, seconds)

    def wait_for_playback(self, seconds: float = 1.0, patience: float = 30.0) -> None:
        """Until `seconds` more of the room have been played."""
        start = self.wait_for_state("live", patience)["position"]
        self.wait_until(
            lambda knows: knows["position"] >= start + seconds, f"{seconds} s further on", patience
        )

    def hear(self, seconds: float) -> None:
        """Let the page play for so long and take in what came."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.page.wait_for_timeout(min(left, 2.0) * 1000)
            self.take_in()

    def forget(self) -> None:
        """What was heard so far."""
        self.take_in()
        self._starts, self._sound, self._samples = [], [], 0

    def take_in(self) -> None:
        """Fetch what the page has recorded since the last time."""
        taken = self.page.evaluate("ear.take()")
        self._rate, self._latency = int(taken["rate"]) or self._rate, float(taken["latency"])
        for at, samples in taken["chunks"]:
            self._starts.append((self._samples, at / 1000))
            self._sound.append(np.frombuffer(base64.b64decode(samples), np.int16))
            self._samples += len(self._sound[-1])

    def beeps(self) -> list[Heard]:
        """All beeps heard so far, in order. `at` is when they leave the loudspeaker."""
        if not self._sound:
            return []
        starts = np.array([start for start, _ in self._starts])
        found = find_beeps(np.concatenate(self._sound), rate=self._rate, likeness=STRETCHED)
        heard = []
        for sample, tone in found:
            start, at = self._starts[int(np.searchsorted(starts, sample, side="right")) - 1]
            heard.append(Heard(at + (sample - start) / self._rate + self._latency, tone))
        return heard

    @property
    def bodies(self) -> list[tuple[str, str]]:
        """URL and SHA-256 of every media body that the page has loaded, in order."""
        return [(url, digest) for url, digest in self.page.evaluate("ear.bodies")]

    @property
    def forbidden(self) -> list[str]:
        """What the page's own policy has kept it from, since it was opened: directive and address."""
        return [str(one) for one in self.page.evaluate("ear.forbidden")]


@contextlib.contextmanager
def chromium(*extra_args: str) -> Iterator[Browser]:
    """A headless Chromium with an empty profile of its own.

    Leave it before a test with an event loop runs: playwright's synchronous interface has its own.
    """
    with sync_playwright() as playwright, launched(playwright.chromium, *extra_args) as browser:
        yield browser


@contextlib.contextmanager
def launched(kind: BrowserType, *extra_args: str) -> Iterator[Browser]:
    """One more browser beside one that runs: `launched(browser.browser_type)`."""
    with tempfile.TemporaryDirectory() as home:
        browser = kind.launch(
            executable_path=programs.path("chromium"),
            args=[*ARGS, *extra_args],
            env={"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home},
        )
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def listening(
    browser: Browser,
    url: str,
    *,
    viewport: ViewportSize | None = None,
    script: str = "",
    policy: bool = False,
) -> Iterator[Listener]:
    """A page with an ear, on `url`. `script` runs before the page's own.

    With its content security `policy` in force, beeps are not dated well enough to be measured: the ear's
    worklet is a blob, which the policy rightly forbids.
    """
    context = browser.new_context(bypass_csp=not policy, viewport=viewport)
    try:
        context.add_init_script(f"window.policyHolds = {str(policy).lower()};" + EAR + script)
        page = context.new_page()
        listener = Listener(page)
        page.goto(url)
        yield listener
    finally:
        context.close()
