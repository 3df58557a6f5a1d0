"""A Redis under Sentinel fails over and loses what was acknowledged: nothing is missing afterwards."""

import pytest

from contracts.take import TakeEvent
from tests.bus_writing import Owned, blocks, eventually, new_key, new_metrics, stream
from tests.redis_server import RedisPair
from workers.memory_bus import MemoryHub
from workers.redis_bus.links import open_links
from workers.redis_bus.writers import BusWriters

pytestmark = pytest.mark.needs("redis-server")


async def test_a_failover_that_lost_writes_gets_them_again() -> None:
    with RedisPair() as pair:
        metrics, hub, owned = new_metrics(), MemoryHub(sound_held=60 * 48_000), Owned()
        links = open_links([pair.url], metrics)
        writers = BusWriters(links, hub, owned, metrics)
        writers.start()
        bus = hub.open(new_key(), owned.header)

        def play() -> None:
            bus.append_event(TakeEvent(bus.top, 0, "join", speakers=("a",)))
            for at, sound in blocks(bus.top, bus.top + 48_000):
                bus.append(at, sound)

        play()
        await eventually(lambda: stream(pair.master, bus.key).top > 43_200)
        pair.wait_for_replica()
        # From here on the replica hears nothing of its master, which goes on to acknowledge.
        pair.replica.command("REPLICAOF", "127.0.0.1", "1")
        play()
        await eventually(lambda: stream(pair.master, bus.key).top > 91_200)
        pair.master.kill()
        assert stream(pair.replica, bus.key).top < 91_200
        play()
        await eventually(lambda: stream(pair.replica, bus.key).top > 139_200)
        found = stream(pair.replica, bus.key)
        found.check()
        assert found.happened == ["0-0", "48000-0", "96000-0"]
        behind = metrics.registry.get_sample_value(
            "longwave_bus_refused_total", {"bus": links[0].name, "reason": "behind"}
        )
        assert not behind  # it was asked before it was written to
        assert links[0].up
        await writers.stop(0)
        await links.close()
