"""A take that no worker delivers is not held for ever."""

import pytest
from structlog.testing import capture_logs

from tests.bus_writing import Owned, eventually, new_key, new_metrics, play
from tests.on_the_bus import Clock
from tests.redis_server import RedisServer
from workers.memory_bus import MemoryHub
from workers.redis_bus import keys
from workers.redis_bus.links import open_links
from workers.redis_bus.writers import LET_GO_SECONDS, BusWriters


@pytest.mark.needs("redis-server")
async def test_what_nobody_delivers_is_let_go_of_one_window_after_its_end_here_and_in_redis() -> None:
    with RedisServer() as server:
        metrics, hub, owned, clock = new_metrics(), MemoryHub(), Owned(), Clock()
        links = open_links([server.url], metrics)
        writers = BusWriters(links, hub, owned, metrics, clock=clock)
        writers.start()
        ended, lives = (hub.open(new_key(), owned.header) for _ in range(2))
        members = {keys.member(bus.key) for bus in (ended, lives)}
        for bus in (ended, lives):
            play(bus, 9600)
        ended.end(ended.top)
        await eventually(lambda: server.command("SMEMBERS", keys.TAKES) == members)
        await eventually(lambda: writers._ended.keys() == {ended.key})
        with capture_logs() as logs:
            clock.now += LET_GO_SECONDS - 1
            seen = writers._ended
            await eventually(lambda: writers._ended is not seen)
            assert set(hub.live()) == {ended, lives}
            clock.now += 1
            await eventually(lambda: hub.live() == (lives,))
        assert [line["room"] for line in logs if line["log_level"] == "error"] == [ended.key.room]
        await eventually(lambda: server.command("SMEMBERS", keys.TAKES) == {keys.member(lives.key)})
        await eventually(lambda: not writers._ended)
        await writers.stop(0)
        await links.close()
