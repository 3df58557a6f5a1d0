"""The same sound gives the same bytes: on two servers, and packaged from a file."""

from __future__ import annotations

import hashlib
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.audio import speechlike
from tests.commands import Commands
from tests.server import Server

SECONDS = 5
ROOM = b'{"title": "x", "renditions": ["32k", "64k"]}'
MEDIA = [f"{name}/{msn}.m4s" for name in ("32k", "64k") for msn in range(SECONDS // 2)]


def digests(server: Server) -> dict[str, str]:
    """SHA-256 of every segment that the room's playlists list, once the take has ended."""
    master = server.get("/live/room/index.m3u8").text
    playlists = [line for line in master.splitlines() if line and not line.startswith("#")]
    found = {}
    for playlist in playlists:
        base = "/live/room/" + playlist.removesuffix("index.m3u8")
        for line in server.get("/live/room/" + playlist).text.splitlines():
            if line.endswith(".m4s"):
                rendition = playlist.split("/")[-2]
                found[f"{rendition}/{line}"] = hashlib.sha256(server.get(base + line).body).hexdigest()
    return found


def play_into(server: Server, pcm: bytes) -> dict[str, str]:
    assert server.request("PUT", "/rooms/room", ROOM).status in {200, 201}
    answer = server.request("PUT", "/pcm/room", pcm)
    assert answer.status == 200
    assert answer.json["samples"] == len(pcm) // 2
    assert server.request("POST", "/rooms/room/end").status in {200, 202, 204}
    server.wait_for(lambda: "#EXT-X-ENDLIST" in server.media_playlist("room", "64k"))
    return digests(server)


def test_two_servers_and_the_packager_make_the_same_bytes_of_the_same_sound(
    tmp_path: Path, longwave: Commands
) -> None:
    pcm = speechlike(SECONDS * 48_000, seed=7)
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    with Server(tmp_path / "one") as one, Server(tmp_path / "two") as two, ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda server: play_into(server, pcm.tobytes()), (one, two))
    # Whole segments of it only: how much silence follows, until the request to end, differs.
    assert {name: first[name] for name in MEDIA} == {name: second[name] for name in MEDIA}
    assert (
        longwave("package", f"{tmp_path}/x.wav", f"{tmp_path}/out", "--renditions", "32k,64k").returncode == 0
    )
    packaged = {name: hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() for name in MEDIA}
    assert packaged == {name: first[name] for name in MEDIA}
