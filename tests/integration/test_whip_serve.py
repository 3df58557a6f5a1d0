"""Publishers by WHIP in a real `longwave serve`: they are heard over HLS, a host's hand reaches them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.decode import decode_pcm
from tests.audio import Beep, beeps, find_beeps
from tests.opus import opus_packets
from tests.server import Server
from tests.whip_client import WhipClient

SECONDS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("whip") / "data") as server:
        yield server


def heard(server: Server, directory: Path) -> list[Beep]:
    """All beeps of the room's ended take, decoded from its segments."""
    playlist = server.media_playlist("room", "64k")
    assert "#EXT-X-ENDLIST" in playlist
    take = re.search(r"([0-9TZ]+-[a-z2-7]{6})/64k", server.get("/live/room/index.m3u8").text)
    assert take
    names = ["init.mp4", *(line for line in playlist.splitlines() if line.endswith(".m4s"))]
    data = b"".join(server.get(f"/live/room/{take[1]}/64k/{name}").body for name in names)
    (path := directory / "take.mp4").write_bytes(data)
    return find_beeps(np.concatenate(list(decode_pcm(path, 1)))[:, 0])


async def test_what_is_said_by_whip_comes_out_of_hls(server: Server, tmp_path: Path) -> None:
    async with WhipClient(server.url, "room", "Ann") as client:
        await client.play(opus_packets(beeps(SECONDS)))
        room = (await asyncio.to_thread(server.get, "/rooms/room")).json
        (speaker,) = room["live"]["speakers"]
        assert (speaker["name"], speaker["kind"]) == ("Ann", "whip")
        end = await asyncio.to_thread(server.request, "POST", "/rooms/room/end")
        assert end.status == 200
        # The end of the take is the end of its speakers' connections.
        await client.ended()
    await asyncio.to_thread(server.wait_for, lambda: "ENDLIST" in server.media_playlist("room", "64k"))
    found = await asyncio.to_thread(heard, server, tmp_path)
    assert [beep.tone for beep in found] == [beep.tone for beep in find_beeps(beeps(SECONDS))]
    apart = np.diff([beep.sample for beep in found])
    # A jitter buffer may shorten what it holds while it finds its depth.
    assert np.abs(apart - 48_000).max() < 48_000 * 0.06
    metrics = (await asyncio.to_thread(server.get, "/metrics")).text
    assert 'longwave_whip_sessions_total{outcome="closed"}' in metrics


async def test_a_speaker_who_connects_again_replaces_its_old_connection(server: Server) -> None:
    voice = opus_packets(beeps(1.0))
    async with WhipClient(server.url, "again", "Ann") as old:
        await old.play(voice)
        async with WhipClient(server.url, "again", "Ann") as new:
            await old.ended()
            await new.play(voice)
            room = (await asyncio.to_thread(server.get, "/rooms/again")).json
            assert [one["name"] for one in room["live"]["speakers"]] == ["Ann"]
            assert await new.delete() == 200


async def test_whoever_is_removed_stays_out_of_this_take(server: Server) -> None:
    async with WhipClient(server.url, "removed", "Ann") as client:
        await client.play(opus_packets(beeps(1.0)))
        removed = await asyncio.to_thread(server.request, "DELETE", "/rooms/removed/speakers/Ann")
        assert removed.status == 204
        await client.ended()
        again = await client.request(
            "POST", "/whip/removed", client.offer, {"Content-Type": "application/sdp"}
        )
        assert again.status == 403
