"""A room grows from 10 to 2,000 listeners and shrinks again, on an origin and two real Varnish edges.

One of the edges stands in for the CDN. Listeners of 2-second HLS come and go on a schedule; one Chromium,
under the page's own policy, hears beeps all the time. It takes less than eight minutes, of which two are
hysteresis: LONGWAVE_SOAK_LISTENERS=200 makes it easier, not shorter.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.latency import SETTLE_SECONDS, lost_and_doubled
from tests.e2e.listener import MAY_PLAY, Listener, chromium, listening
from tests.e2e.speaker import Speaker
from tests.edges import Edge, running_edge
from tests.server import Server
from tests.soak.tiers import Load, Watch, accuracy, table

ROOM = "tiers"
PEAK = int(os.environ.get("LONGWAVE_SOAK_LISTENERS", "2000"))
EDGE_FROM, CDN_FROM = max(50, PEAK // 20), max(100, PEAK // 2)
# With the page these are ten.
FEW = 9
# They stay where they are, at the edge that is the CDN: what they meet is not because of a move.
STAYERS = PEAK // 20
# Too few for the CDN, too many for the origin.
MIDDLE = (EDGE_FROM + CDN_FROM) // 4 - FEW - 1
MANY = PEAK - MIDDLE - STAYERS - FEW - 1
ARRIVE = max(5.0, PEAK / 67)
FULL_SECONDS = 45
# What plain listeners are counted to, at rest.
ERROR = 0.1

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(720),
    pytest.mark.needs("varnishd", "varnishncsa", "varnishstat", "vmod_digest", "chromium", "hls.js"),
]


@dataclass
class Stage:
    """The server, the edge that stands in for the CDN, and everybody who listens."""

    server: Server
    cdn: Edge
    page: Listener
    logs: Path
    loads: dict[str, Load] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    knows: dict[str, Any] = field(default_factory=dict)
    moved: list[float] = field(default_factory=list)
    stalled: list[float] = field(default_factory=list)
    tones: list[int] = field(default_factory=list)

    def present(self, now: float) -> int:
        """All of them, and the page."""
        return 1 + sum(load.present(now) for load in list(self.loads.values()))

    def hear(self, seconds: float) -> None:
        """Go on; note where the page is, and when it ran dry."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.page.hear(min(left, 1.0))
            before, self.knows = self.knows, self.page.knows
            tier, now = str(self.knows["tier"]), time.monotonic()
            if self.seen[-1:] != [tier]:
                self.seen.append(tier)
                self.moved.append(now)
            if self.knows["stalls"] > before.get("stalls", 0):
                self.stalled.append(now)

    def stalls_after_moves(self) -> int:
        """In how many seconds it ran dry within ten of a move."""
        return sum(any(abs(at - moved) <= 10 for moved in self.moved[1:]) for at in self.stalled)

    def until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Hear on until `condition` holds."""
        for _ in range(int(seconds)):
            if condition():
                return
            self.hear(1.0)
        raise AssertionError(f"not within {seconds} s: {what}")


@contextlib.contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = f"http://127.0.0.1:{port}"
    with (
        running_edge("varnish", [home], directory, count="", name="edge-1", tier="edge") as edge,
        running_edge("varnish", [home], directory, count="", name="cdn-1", tier="cdn") as cdn,
    ):
        settings = {
            "LONGWAVE_PUBLIC_URL": home,
            "LONGWAVE_EDGE_URL": edge.url,
            "LONGWAVE_CDN_URL": cdn.url,
            "LONGWAVE_EDGE_FROM": str(EDGE_FROM),
            "LONGWAVE_CDN_FROM": str(CDN_FROM),
        }
        with (
            Server(directory / "data", port=port, env=settings) as server,
            Speaker(server.url, ROOM),
            chromium(MAY_PLAY) as browser,
            listening(browser, f"{server.url}/listen/{ROOM}", policy=True) as page,
        ):
            page.wait_for_playback(SETTLE_SECONDS)
            page.forget()
            yield Stage(server, cdn, page, directory, knows=page.knows)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Watch]]:
    """All of it, once: the tests below judge what came of it."""
    with stage(tmp_path_factory.mktemp("tiers")) as told:
        watch = Watch(told.server, ROOM, told.present)
        with contextlib.ExitStack() as stack:
            stack.enter_context(watch.watching())
            grow_and_shrink(told, watch, stack)
        told.tones = [beep.tone for beep in told.page.beeps()]
        print(f"\n{table(watch.moments, 10)}\n{accuracy(watch.at_rest())}")  # noqa: T201 - people read `make soak`
        for name, load in told.loads.items():
            print(f"{name}: {summary(load.result)}")  # noqa: T201
        lost, doubled = lost_and_doubled(told.tones)
        page = f"{told.knows['moves']} moves, dry in {len(told.stalled)} s"
        page += f" ({told.stalls_after_moves()} near a move), {told.seen}"
        print(f"page: {page}, {len(told.tones)} beeps, {lost} lost, {doubled} doubled")  # noqa: T201
        yield told, watch


def grow_and_shrink(told: Stage, watch: Watch, stack: contextlib.ExitStack) -> None:
    """10, some hundred, `PEAK`, some hundred, 10. Who is few or some hundred goes when all have followed."""
    url = f"{told.server.url}/listen/{ROOM}"
    leaving = PEAK / ARRIVE

    def come(name: str, url: str, listeners: int, *options: str, **when: float) -> Load:
        log = told.logs / f"{name}.log"
        load = told.loads[name] = stack.enter_context(Load(url, log, listeners, *options, **when))
        return load

    come("few", url, FEW, "--tiers", arrive=3)
    told.hear(25)
    middle = come("some", url, MIDDLE, "--tiers", arrive=ARRIVE)
    if MIDDLE + FEW >= EDGE_FROM:
        told.until(lambda: watch.tier == "edge", "the room is at the edge", 60)
    told.hear(25)
    stay = MANY / ARRIVE + FULL_SECONDS
    there = f"{told.cdn.url}/live/{ROOM}/index.m3u8"
    come("stayers", there, STAYERS, arrive=ARRIVE, seconds=stay)
    come("many", url, MANY, "--tiers", arrive=ARRIVE, stay=stay, seconds=stay + MANY / ARRIVE + 2)
    told.until(lambda: watch.tier == "cdn", "the room is at the CDN", 90)
    told.until(lambda: watch.tier == "edge", "the room is at the edge again", stay + leaving + 150)
    told.until(lambda: told.seen[-1] == "edge", "the page is at the edge again", 90)
    told.hear(20)
    middle.stop()
    told.until(lambda: watch.tier == "origin", "the room is at home again", 150)
    told.until(lambda: told.seen[-1] == "origin", "the page is at home again", 60)
    told.hear(25)


def summary(result: dict[str, Any]) -> str:
    """What a crowd met, for people."""
    lag = max(each["p99"] or 0.0 for each in result["schedule_lag"].values())
    dry, listeners = result["rebuffering"], result["listeners"]
    return (
        f"{listeners['arrived']} listeners, {dry['count']} rebuffers of {dry['listeners']}, moves "
        f"{result['moves']}, {result['flaps']} flaps, errors {result['errors']}, {result['media']}, "
        f"{result['requests_a_second']} requests/s, schedule lag p99 {lag * 1e3:.0f} ms"
    )


def test_the_room_goes_up_and_comes_down_and_never_back_and_forth(story: tuple[Stage, Watch]) -> None:
    told, watch = story
    assert watch.tiers() == ["origin", "edge", "cdn", "edge", "origin"]
    assert told.seen == watch.tiers()
    # Who was there all the time has made each step once.
    once = {"origin>edge": FEW, "edge>cdn": FEW, "cdn>edge": FEW, "edge>origin": FEW}
    assert told.loads["few"].result["moves"] == once
    for load in told.loads.values():
        assert load.result["flaps"] == 0
        assert load.result["listeners"]["retuned"] == 0


def test_nobody_runs_dry_because_of_a_move(story: tuple[Stage, Watch]) -> None:
    results = {name: load.result for name, load in story[0].loads.items()}
    assert all(result["honest"] for result in results.values()), (
        "this machine is too slow to simulate so many"
    )
    dry = {name: result["rebuffering"]["listeners"] for name, result in results.items()}
    assert dry["stayers"] == 0, "who does not move runs dry as well: that is this machine"
    assert dry == dict.fromkeys(results, 0)
    for result in results.values():
        assert result["errors"] == {}
        assert result["media"] == {"gaps": 0, "jumps": 0, "skipped": 0}


def test_the_page_hears_every_beep_on_its_way(story: tuple[Stage, Watch]) -> None:
    told, watch = story
    assert not told.stalled, f"it ran dry, in {told.stalls_after_moves()} cases near a move"
    assert (told.knows["moves"], told.knows["restarts"]) == (4, 0)
    assert len(told.tones) >= 2 * (watch.moments[-1].at - watch.moments[0].at) - 10
    assert lost_and_doubled(told.tones) == (0, 0)
    assert not told.page.errors


def test_listeners_are_counted_wherever_they_are(story: tuple[Stage, Watch]) -> None:
    rest = story[1].at_rest()
    assert {moment.tier for moment in rest} == {"origin", "edge", "cdn"}
    assert max(moment.true for moment in rest) == PEAK
    for moment in rest:
        assert abs(sum(moment.counted) - moment.true) <= max(2, ERROR * moment.true), moment
