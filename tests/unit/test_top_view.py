"""What `longwave top` shows of a cluster, as text."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from rich.console import Console

from longwave.asking import Asking, NoAnswer, ServerOptions
from longwave.top import watch
from longwave.top_view import Shown, render

TAKE = "20260201T120000Z-abcdef"


def node(node_id: str, *roles: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "id": node_id,
        "roles": roles or ("worker",),
        "url": f"http://{node_id}:8080",
        "draining": False,
        "capacity": 4,
        "load": 1.25,
        "memory": 345_000_000,
        "latency_ms": 52.4,
        "listeners": 0,
        "carrying": [],
        "uptime_s": 7.0,
        **more,
    }


def take(room: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "room": room,
        "take": TAKE,
        "owner": "ingest-1",
        "carried_by": ["worker-1"],
        "samples": 48_000 * 3723,
        "ended": False,
        "failures": 0,
        "quarantined": False,
        "tier": "origin",
        "listeners": {},
        **more,
    }


def text(state: dict[str, Any], width: int = 80, height: int | None = None, **more: Any) -> str:  # noqa: ANN401
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(
            render(
                Shown({"nodes": [], "takes": [], "buses": [], "edges": [], **state}, "http://s", **more),
                width,
                height,
            )
        )
    return capture.get()


def line_of(shown: str, start: str) -> str:
    (found,) = [line for line in shown.splitlines() if line.startswith(start)]
    return " ".join(found.split())


def test_a_node_is_a_line() -> None:
    nodes = [
        node("ingest-1", "ingest", latency_ms=None, uptime_s=273_600.0),
        node("worker-1", carrying=["a/1", "b/2"], load=3.9, latency_ms=640.0, uptime_s=4 * 3600 + 300.0),
        node("origin-1", "origin", listeners=12_843, memory=2_300_000_000, uptime_s=3000.0),
        node("all-1", "origin", "worker", "ingest", draining=True),
        node("worker-2", draining=True, cut_off=True),
    ]
    shown = text({"nodes": nodes, "takes": [take("a"), take("b"), take("c", ended=True)]})
    assert line_of(shown, "ingest-1") == "ingest-1 ingest 1.25/4 345 MB 2 - - - 3d 4h"
    assert line_of(shown, "worker-1") == "worker-1 worker 3.90/4 345 MB - 2 640 ms - 4h 05m"
    assert line_of(shown, "origin-1") == "origin-1 origin 1.25/4 2.3 GB - - 52 ms 12843 50m"
    assert line_of(shown, "all-1") == "all-1 all 1.25/4 345 MB - - 52 ms - leaves"
    assert line_of(shown, "worker-2") == "worker-2 worker 1.25/4 345 MB - - 52 ms - cut off"
    assert shown.startswith("5 nodes · 2 live takes · 12843 listeners · 8.9 cores busy   http://s")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "news 1:02:03 ingest-1 worker-1 - live"),
        ({"carried_by": ["worker-1", "worker-2"]}, "news 1:02:03 ingest-1 worker-1 +1 - live"),
        ({"carried_by": []}, "news 1:02:03 ingest-1 - - made by nobody"),
        ({"carried_by": [], "samples": 47_999}, "news 0:00 ingest-1 - - live"),
        ({"owner": None}, "news 1:02:03 - worker-1 - no owner"),
        ({"failures": 2}, "news 1:02:03 ingest-1 worker-1 - 2 failures"),
        ({"ended": True}, "news 1:02:03 ingest-1 worker-1 - ending"),
        ({"quarantined": True, "failures": 3, "carried_by": []}, "news 1:02:03 ingest-1 - - quarantined"),
        ({"listeners": {"origin": 42}}, "news 1:02:03 ingest-1 worker-1 42 live"),
    ],
)
def test_a_take_says_the_worst_of_itself(more: dict[str, Any], said: str) -> None:
    assert line_of(text({"takes": [take("news", **more)]}), "news") == said


def test_takes_say_where_they_are_heard_as_soon_as_one_is_heard_beyond_the_origins() -> None:
    takes = [
        take("small", listeners={"origin": 9}),
        take("large", tier="cdn", listeners={"origin": 3, "edge": 230, "cdn": 12_500}),
        take("gone-up", tier="edge"),
    ]
    shown = text({"takes": takes})
    assert line_of(shown, "room") == "room length owner made by tier origin edge cdn state"
    assert line_of(shown, "small") == "small 1:02:03 ingest-1 worker-1 origin 9 - - live"
    assert line_of(shown, "large") == "large 1:02:03 ingest-1 worker-1 cdn 3 230 12k live"
    assert line_of(shown, "gone-up") == "gone-up 1:02:03 ingest-1 worker-1 edge - - - live"
    assert line_of(text({"takes": takes[:1]}), "room") == "room length owner made by listen state"


def test_edges_that_tell_are_listed_with_the_largest_first() -> None:
    edges = [
        {"name": f"edge-{number}", "tier": "edge", "listeners": 10 * number, "rooms": number}
        for number in range(9)
    ]
    shown = text({"edges": edges, "takes": [take("a")]}, 80, 24)
    lines = [" ".join(line.split()) for line in shown.splitlines() if line.startswith("edge-")]
    assert lines == ["edge-8 edge 8 80", "edge-7 edge 7 70", "edge-6 edge 6 60", "edge-5 edge 5 50"]
    assert "and 5 more" in shown
    assert len(shown.splitlines()) <= 24


def test_what_a_server_of_before_does_not_say_is_shown_as_nothing() -> None:
    before = {name: value for name, value in take("old").items() if name not in {"tier", "listeners"}}
    console = Console(file=io.StringIO(), width=80, color_system=None)
    with console.capture() as capture:
        state = {"nodes": [node("w")], "takes": [before], "buses": []}
        console.print(render(Shown(state, "http://s"), 80))
    assert line_of(capture.get(), "old") == "old 1:02:03 ingest-1 worker-1 - live"


def test_buses_say_how_they_are() -> None:
    buses = [
        {"name": "a:1", "up": True, "trouble": None, "lag_s": 0.2},
        {"name": "b:1", "up": True, "trouble": None, "lag_s": 2.25},
        {"name": "c:1", "up": False, "trouble": "no answer in time", "lag_s": None},
    ]
    shown = text({"buses": buses})
    assert [line_of(shown, name) for name in ("a:1", "b:1", "c:1")] == [
        "a:1 up",
        "b:1 2.2 s behind",
        "c:1 down: no answer in time",
    ]


def test_80_columns_hold_the_longest_names() -> None:
    long = "very-long-host-name.eu-central.example.net-1a2b3c4d"
    state = {
        "nodes": [node(long, "ingest", "worker", load=63.99, capacity=64, listeners=123_456, uptime_s=9e6)],
        "takes": [
            take(
                "r" * 64,
                owner=long,
                carried_by=[long, long],
                samples=48_000 * 360_000,
                tier="origin",
                listeners={"origin": 12_000, "edge": 999_000, "cdn": 1_200_000},
            ),
            take("x" * 64, carried_by=[], tier="cdn"),
        ],
        "edges": [{"name": "e" * 64, "tier": "edge", "listeners": 10**7, "rooms": 4096}],
        "buses": [
            {
                "name": "main@10.0.0.1:26379,10.0.0.2:26379,10.0.0.3:26379",
                "up": True,
                "lag_s": 0,
                "trouble": None,
            }
        ],
    }
    shown = text(state)
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("1a2b3c4d") == 3
    assert "100:00:00" in shown
    assert "made by nobody" in shown
    assert " 12k 999k 1.2M " in shown
    wide = text(state, 160)
    assert TAKE in wide
    assert f"http://{long[:20]}" in wide


def test_a_terminal_that_is_too_low_shows_the_worst_and_counts_the_rest() -> None:
    takes = [take(f"room-{number:02}") for number in range(40)]
    takes[37]["quarantined"] = True
    takes[38]["carried_by"] = []
    nodes = [node(f"node-{number:02}", load=number / 10) for number in range(30)]
    shown = text({"nodes": nodes, "takes": takes}, 80, 24).splitlines()
    assert len(shown) <= 24
    rooms = [line.split()[0] for line in shown if line.startswith("room-")]
    assert rooms[:2] == ["room-37", "room-38"]
    assert shown[-1] == f"and {40 - len(rooms)} more"
    assert next(line.split()[0] for line in shown if line.startswith("node-")) == "node-29"
    assert "and 22 more" in shown


def test_nothing_is_shown_as_nothing_and_no_control_character_passes() -> None:
    assert "no take is live" in text({})
    assert "\x1b" not in text({"nodes": [node("a\x1b[2Jb")], "takes": [take("x\x1b", owner="\x1b")]})


def test_a_server_that_went_away_is_said_with_the_age_of_what_is_shown() -> None:
    shown = text({"nodes": [node("worker-1")]}, trouble="http://s gives no answer", age=7.3)
    assert shown.startswith("http://s gives no answer; this is 7 s old, asking again")
    assert "worker-1" in shown


async def test_a_server_that_goes_away_is_asked_again_until_it_is_back() -> None:
    stop = asyncio.Event()
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True, color_system=None)
    first = {"nodes": [node("first")], "takes": [], "buses": []}

    class Server(Asking):
        asked = 0

        async def ask(self, method: str, path: str, **query: str) -> dict[str, Any]:
            self.asked += 1
            if self.asked < 3:
                raise NoAnswer("http://s gives no answer")
            if self.asked == 4:
                stop.set()
            return {"nodes": [node("second")], "takes": [], "buses": []}

    now = iter(range(100))
    await watch(Server(ServerOptions("http://s")), first, console, stop, clock=lambda: next(now), every=0.001)
    said = out.getvalue()
    assert said.index("first") < said.index("gives no answer") < said.index("second")
    assert said.count("gives no answer") == 2
    # The terminal is left as it was: the other screen is gone, the cursor is back.
    assert said.index("\x1b[?1049h") < said.index("second") < said.index("\x1b[?1049l")
    assert "\x1b[?25h" in said[said.index("second") :]
