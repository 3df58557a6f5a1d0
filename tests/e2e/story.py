"""What happened to a speaker in a take, as its record tells it; and how a speaker's browser is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from tests.audio import RATE
from tests.e2e.listener import Listener
from tests.e2e.microphone import Guest
from tests.server import Server

Span = tuple[float, float]


@dataclass(frozen=True)
class Story:
    """Spans of a take in seconds: when somebody was there, spoke, and was muted by a host."""

    joined: Sequence[Span]
    spoke: Sequence[Span]
    muted: Sequence[Span]

    def spoke_within(self) -> list[int]:
        """How often the voice was heard in each span of being there; it is an error outside of them."""
        counts = [0] * len(self.joined)
        for start, stop in self.spoke:
            (index,) = (i for i, (came, left) in enumerate(self.joined) if came <= start and stop <= left)
            counts[index] += 1
        return counts

    @property
    def pauses(self) -> list[float]:
        """Seconds from each time the voice fell silent until it was heard again."""
        return [start - stop for (_, stop), (start, _) in zip(self.spoke, self.spoke[1:], strict=False)]


def told(server: Server, room: str, name: str) -> Story:
    """End the room's take; what its record tells of `name`."""
    take = server.get(f"/rooms/{room}").json["live"]["take"]
    assert server.request("POST", f"/rooms/{room}/end").status == 200
    path = f"/replay/{room}/{take}/take.json"
    server.wait_for(lambda: server.get(path).status == 200)
    (found,) = (one for one in server.get(path).json["speakers"] if one["name"] == name)

    def spans(what: str) -> list[Span]:
        return [(start / RATE, stop / RATE) for start, stop in found[what]]

    return Story(spans("joined"), spans("spoke"), spans("muted"))


def speakers(server: Server, room: str) -> list[str]:
    """Who is in the room's live take."""
    return [speaker["name"] for speaker in server.get(f"/rooms/{room}").json["live"]["speakers"]]


def hear_beeps(listener: Listener) -> int:
    """What is said now comes to the ear; how often the player has run dry until then."""
    listener.forget()
    for _ in range(40):
        listener.hear(0.5)
        if len(listener.beeps()) >= 3:
            return int(listener.knows["stalls"])
    raise AssertionError(f"no beeps: {listener.knows}")


def on_air(microphone: Browser, url: str) -> Guest:
    """Ann, on a page that goes only with its browser."""
    guest = Guest(microphone.new_page())
    guest.page.goto(url)
    guest.go_on_air("Ann")
    return guest


def kill_nine(sound: Path) -> None:
    """The browser whose microphone plays `sound`, at once and with all of its processes."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_browser_of(entry, sound):
            # Playwright starts each browser in a process group of its own.
            assert os.getpgid(int(entry.name)) == int(entry.name)
            os.killpg(int(entry.name), signal.SIGKILL)
            return
    raise AssertionError(f"no browser hears {sound}")


def _is_browser_of(process: Path, sound: Path) -> bool:
    try:
        argv = (process / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return False
    return str(sound) in argv and "--type=" not in argv
