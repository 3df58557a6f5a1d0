"""Simulated listeners of real origins: what they count is what happened.

Listening takes its time, and little else: all scenes are played side by side.
"""

import asyncio
import json
import time
from collections import Counter

import pytest
from aiohttp import web

from longwave.load.crowd import Crowd
from tests.crowds import listening, on_air
from tests.keeping_up import in_real_time
from tests.origins import RunningOrigin, running
from tests.tcp_proxy import TcpProxy
from tests.waiting import until

_MANY = 12
# Machines that do much else are late: what is measured then is larger, and never smaller.
_SLOW_MACHINE = 1.5


def served(room: RunningOrigin) -> Counter[str]:
    """What the origin counted, but for what feeds it."""
    found: Counter[str] = Counter()
    for metric in room.origin.metrics.registry.collect():
        for sample in metric.samples:
            if sample.name == "longwave_http_requests_total" and sample.labels["kind"] != "publish":
                found[f"{sample.labels['kind']}.{sample.labels['status']}"] += int(sample.value)
    return +found


def asked(*crowds: Crowd) -> Counter[str]:
    return sum((Counter(crowd.tally.under("status")) for crowd in crowds), Counter())


async def a_dozen_of_each_kind_hear_everything_and_count_what_the_origin_counts() -> None:
    async with running() as room, on_air(room) as feed:
        async with listening(room.url, _MANY) as plain, listening(room.url, _MANY, low_latency=True) as fast:
            await until(lambda: asked(plain)["playlist.200"] >= 2 * _MANY)
            await until(lambda: asked(fast)["blocking_playlist.200"] >= 4 * _MANY)
            await until(lambda: min(crowd.tally.time("distance").number for crowd in (plain, fast)) >= _MANY)
            feed.hold.set()
            # Whatever was let go has arrived, and who waits goes on waiting.
            await until(lambda: asked(plain, fast) == served(room) and room.blocked == 2 * _MANY)
        for crowd in (plain, fast):
            counts = crowd.tally.counts
            assert counts["arrived"] == counts["tuned_in"] == _MANY
            assert crowd.tally.under("error") == {}
            assert counts["skipped"] == counts["jumps"] == counts["gaps"] == 0
            answers = asked(crowd)
            playlists = sum(number for what, number in answers.items() if "playlist" in what)
            assert crowd.cache.parsed <= playlists / 3, "a playlist is parsed once, not by each listener"
        kinds = asked(fast)
        assert kinds["playlist.200"] == kinds["multivariant.200"] == kinds["init.200"] == _MANY
        assert kinds["segment.200"] == 0
        assert asked(plain)["part.200"] == asked(plain)["blocking_playlist.200"] == 0
        assert asked(plain)["playlist.200"] <= 4 * _MANY, "a target duration apart"
        assert kinds["part.200"] >= kinds["blocking_playlist.200"], "one for each that was listed, one hinted"
        # Hold-back, and what has been said since the playlist's edge: at most a segment, or a part.
        assert 6.0 <= _middle(plain, "distance") <= 6.0 + 2.1 + _SLOW_MACHINE
        assert 1.2 <= _middle(fast, "distance") <= 1.216 + 0.42 + _SLOW_MACHINE
        assert 0 < _middle(fast, "release.after_sound.blocking_playlist") < _SLOW_MACHINE


def _middle(crowd: Crowd, name: str) -> float:
    found = crowd.tally.time(name).quantile(0.5)
    assert found is not None
    return found


async def a_stall_is_as_long_as_there_was_nothing_to_play() -> None:
    async with running() as room, on_air(room) as feed:
        async with listening(room.url, 3, low_latency=True, every=0.001) as crowd:
            await until(lambda: crowd.tally.counts["tuned_in"] == 3 and room.blocked >= 3)
            feed.hold.set()
            await until(lambda: room.blocked == 6)
            buffers = [listener._playback._buffer for listener in crowd.listeners]
            began = time.monotonic()
            for buffer in buffers:
                assert not buffer.advance(began)
            # At what is there, it lasts so long; then all are dry.
            ends = [began + buffer.ahead for buffer in buffers]
            await until(lambda: crowd.tally.counts["stalls"] >= 3)
            await asyncio.sleep(0.6)
            again = time.monotonic()
            feed.hold.clear()
            await until(lambda: crowd.tally.time("stall").number >= 3)
            heard = time.monotonic()
        stalls = crowd.tally.time("stall").total / 1e6
        assert crowd.tally.counts["rebuffered"] == 3
        assert sum(again - end for end in ends) - 0.001 <= stalls <= sum(heard - end for end in ends) + 0.001
        assert stalls > 3 * 0.6


async def a_server_that_stands_still_shows_in_all_that_was_due_meanwhile() -> None:
    async with running() as room, on_air(room):
        with TcpProxy(int(room.url.rpartition(":")[2])) as link:
            async with listening(f"http://127.0.0.1:{link.port}", _MANY, every=0.15) as crowd:
                await until(lambda: crowd.tally.counts["tuned_in"] == _MANY)
                before = crowd.tally.time("latency.playlist").number
                answers = asked(crowd)["playlist.200"]
                # Longer than the two seconds after which each of them would ask again.
                link.freeze()
                await asyncio.sleep(2.6)
                link.heal()
                await until(lambda: asked(crowd)["playlist.200"] >= answers + _MANY)
        latency = crowd.tally.time("latency.playlist")
        late = _over(crowd, 0.5)
        assert latency.largest / 1e6 >= 1.0
        assert late >= _MANY, "all who asked meanwhile waited"
        assert latency.number - before > asked(crowd)["playlist.200"] - answers, "and some would have twice"
        assert crowd.tally.under("error") == {}


def _over(crowd: Crowd, seconds: float) -> int:
    """How many playlists took longer."""
    counts = crowd.tally.time("latency.playlist")
    share = next(share for share in range(1001) if (counts.quantile(share / 1000) or 0) >= seconds)
    return round(counts.number * (1 - share / 1000))


async def errors_are_counted_and_end_nothing() -> None:
    async with running() as room:
        with TcpProxy(int(room.url.rpartition(":")[2])) as link:
            async with listening(f"http://127.0.0.1:{link.port}", 3, low_latency=True) as crowd:
                # Nobody speaks there yet.
                await until(lambda: crowd.tally.under("error").get("multivariant.status 404", 0) >= 3)
                async with on_air(room):
                    await until(lambda: crowd.tally.counts["tuned_in"] == 3)
                    link.cut()
                    await until(lambda: link.connections >= 12 and crowd.tally.counts["rebuffered"] == 3)
                    link.heal()
                    await until(lambda: crowd.tally.time("stall").number == crowd.tally.counts["stalls"])
        errors = crowd.tally.under("error")
        assert errors["multivariant.status 404"] >= 3
        assert sum(count for name, count in errors.items() if name.startswith("blocking_playlist.")) >= 3
        assert crowd.tally.counts["rebuffered"] == 3


async def listeners_move_where_they_are_told_without_a_rebuffer() -> None:
    said = {"tier": "origin", "bases": [""], "playlist": "/live/room/index.m3u8", "ask_again": 1}

    async def listen(_: web.Request) -> web.Response:
        return web.Response(text=json.dumps(said))

    async with running() as small, running() as large, on_air(small, large) as feed:
        app = web.Application()
        app.router.add_get("/listen/room.json", listen)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        said["bases"] = [small.url]
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with listening(url, 4, low_latency=True, listen="/listen/room.json") as crowd:
                await until(lambda: crowd.tally.counts["tuned_in"] == 4)
                said.update(tier="edge", bases=[large.url])
                await until(lambda: crowd.tally.under("move").get("origin>edge", 0) >= 4)
                here = feed.next
                await until(lambda: feed.next > (here.msn + 1, here.part))
                feed.hold.set()
                await until(lambda: large.blocked == 8)
                assert small.blocked == 0
        finally:
            await runner.cleanup()
        assert crowd.tally.under("move") == {"origin>edge": 4}
        assert served(large)["multivariant.200"] == 0, "nobody tuned in again"
        assert served(large)["part.200"] >= 8
        counts = crowd.tally.counts
        assert counts["stalls"] == counts["flaps"] == counts["jumps"] == counts["skipped"] == 0
        assert crowd.tally.under("error") == {}


_SCENES = (
    a_dozen_of_each_kind_hear_everything_and_count_what_the_origin_counts,
    a_stall_is_as_long_as_there_was_nothing_to_play,
    a_server_that_stands_still_shows_in_all_that_was_due_meanwhile,
    errors_are_counted_and_end_nothing,
    listeners_move_where_they_are_told_without_a_rebuffer,
)


@pytest.fixture(scope="module")
def played() -> dict[str, BaseException | None]:
    """How each scene went."""

    async def play() -> list[BaseException | None]:
        return await asyncio.gather(*(in_real_time(scene) for scene in _SCENES), return_exceptions=True)

    return dict(zip((scene.__name__ for scene in _SCENES), asyncio.run(play()), strict=True))


@pytest.mark.parametrize("scene", [scene.__name__ for scene in _SCENES])
def test_listeners(scene: str, played: dict[str, BaseException | None]) -> None:
    if (error := played[scene]) is not None:
        raise error
