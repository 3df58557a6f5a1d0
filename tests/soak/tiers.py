"""A room of known size on three tiers: crowds that come and go on a schedule, and what is said of them."""

from __future__ import annotations

import contextlib
import json
import math
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.server import Server
from tests.soak.running import ROOT, scrape

TIERS = ("origin", "edge", "cdn")
# After a move: until all have asked where to listen (20 s at a CDN), and are forgotten where they were (8 s,
# and what an edge tells every 2 s).
MOVED_SECONDS = 32
# After somebody has come or gone, until a plain listener's count says so.
COUNTED_SECONDS = 12
_SHOWN = re.compile(r"(\d+) s: listeners ")


class Load:
    """`longwave load`: so many listeners, `arrive` a second, each for `stay` seconds, until it is stopped.

    `result` is its JSON, once it is over.
    """

    def __init__(
        self,
        url: str,
        log: Path,
        listeners: int,
        *options: str,
        arrive: float,
        stay: float = math.inf,
        seconds: float = 900,
    ) -> None:
        self.listeners, self._arrive, self._stay, self._seconds = listeners, arrive, stay, seconds
        self._json = log.with_suffix(".json")
        self._began = self._over = math.inf
        command = [sys.executable, "-m", "longwave", "load", url, "--json", str(self._json), *options]
        command += ["--listeners", str(listeners), "--arrive", str(arrive), "--for", str(seconds)]
        command += [] if stay == math.inf else ["--stay", str(stay)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        self._reading = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reading.start()

    def _read(self, log: Path) -> None:
        """Its words, and from the first figures the instant at which it began."""
        assert self._process.stderr
        with log.open("w") as kept:
            for line in self._process.stderr:
                kept.write(line)
                kept.flush()
                if self._began == math.inf and (shown := _SHOWN.match(line)):
                    self._began = time.monotonic() - int(shown[1])

    def present(self, now: float) -> int:
        """How many listen by the schedule at `now` (monotonic)."""
        if self._began == math.inf or now >= min(self._over, self._began + self._seconds):
            return 0
        return self._come(now - self._began) - self._come(now - self._began - self._stay)

    def _come(self, passed: float) -> int:
        return 0 if passed < 0 else min(self.listeners, 1 + int(passed * self._arrive))

    @property
    def result(self) -> dict[str, Any]:
        """What it measured."""
        found = json.loads(self._json.read_text())
        assert isinstance(found, dict)
        return found

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        """As Ctrl-C: all leave, and it tells what it has."""
        self._over = min(self._over, time.monotonic())
        if not self.ended:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        finally:
            if not self.ended:
                self._process.kill()
                self._process.wait()
            self._reading.join(10)
            assert self._process.stderr
            self._process.stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Moment(NamedTuple):
    """What was true and what was said at one instant (monotonic seconds)."""

    at: float
    tier: str
    true: int
    counted: tuple[int, int, int]

    @property
    def error(self) -> float:
        """Of the sum, in parts of what is true."""
        return (sum(self.counted) - self.true) / max(1, self.true)


@dataclass
class Watch:
    """Looks once a second at what `server` says of `room`; `present` knows how many listen."""

    server: Server
    room: str
    present: Callable[[float], int]
    moments: list[Moment] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def watching(self) -> Iterator[Self]:
        """Look meanwhile, in a thread of its own."""
        thread = threading.Thread(target=self._look_for_ever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join(30)

    def _look_for_ever(self) -> None:
        while not self._over.wait(1.0):
            with contextlib.suppress(OSError):
                self.moments.append(self._look())

    def _look(self) -> Moment:
        now = time.monotonic()
        tier = str(self.server.get(f"/listen/{self.room}.json").json["tier"])
        said = scrape(self.server)
        origin, edge, cdn = (int(said[f'longwave_tier_listeners{{tier="{each}"}}']) for each in TIERS)
        return Moment(now, tier, self.present(now), (origin, edge, cdn))

    @property
    def tier(self) -> str:
        """Where the room is now."""
        return self.moments[-1].tier if self.moments else ""

    def tiers(self) -> list[str]:
        """Where it has been, in order."""
        return [tier for tier, _ in groupby(moment.tier for moment in self.moments)]

    def at_rest(self) -> list[Moment]:
        """The moments at which nobody had come, gone or moved for a while: then counts are to be right."""
        found: list[Moment] = []
        came = moved = math.inf
        before: Moment | None = None
        for moment in self.moments:
            if before is None or before.true != moment.true:
                came = moment.at
            if before is None or before.tier != moment.tier:
                # Nobody has anywhere to move from yet.
                moved = moment.at if before is not None else -math.inf
            if moment.at - came >= COUNTED_SECONDS and moment.at - moved >= MOVED_SECONDS:
                found.append(moment)
            before = moment
        return found


def table(moments: Sequence[Moment], every: int) -> str:
    """One line of every so many moments, for people."""
    lines = ["seconds    tier   true  origin    edge     cdn   error"]
    for moment in moments[::every]:
        origin, edge, cdn = moment.counted
        passed = moment.at - moments[0].at
        lines.append(
            f"{passed:7.0f} {moment.tier:>7} {moment.true:6} {origin:7} {edge:7} {cdn:7} {moment.error:+7.1%}"
        )
    return "\n".join(lines)


def accuracy(moments: Sequence[Moment]) -> str:
    """How right the sum was at rest, for each size and tier, for people."""
    lines = []
    for (tier, true), group in groupby(moments, key=lambda moment: (moment.tier, moment.true)):
        errors = [moment.error for moment in group]
        mean, worst = sum(errors) / len(errors), max(errors, key=abs)
        lines.append(
            f"{true} listeners at {tier}, {len(errors)} s: {mean:+.1%} on average, {worst:+.1%} at worst"
        )
    return "\n".join(lines)
