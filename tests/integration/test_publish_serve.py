"""`longwave publish` into real servers that are killed, and origins that come back empty."""

from __future__ import annotations

import re
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.server import Server

RATE = 48_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A minute of noise that can be told apart from silence."""
    pcm = np.random.default_rng(3).integers(-9000, 9000, 60 * RATE).astype("<i2")
    path = tmp_path / "noise.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm.tobytes())
    return path


@contextmanager
def publishing(server: Server, file: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "longwave", "publish", str(file), "--room", "demo", "--url", server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def segments(playlist: str) -> list[str]:
    """URIs of whole segments, in order; a gap's is marked."""
    found = re.findall(r"(#EXT-X-GAP\n)?(?:#EXTINF[^\n]*\n)(#EXT-X-GAP\n)?([^#\n]+)", playlist)
    return [("gap " if before or after else "") + uri for before, after, uri in found]


def take_of(server: Server) -> str:
    master = server.get("/live/demo/index.m3u8").text
    found = re.search(r"^([^#/\n]+)/64k/index\.m3u8$", master, re.MULTILINE)
    return found[1] if found else ""


def whole(server: Server) -> list[str]:
    return [uri for uri in segments(server.media_playlist("demo", "64k")) if not uri.startswith("gap")]


def test_a_file_plays_on_in_the_same_take_when_the_server_is_killed_and_comes_back(
    tmp_path: Path, file: Path
) -> None:
    with Server(tmp_path / "data") as server, publishing(server, file) as process:
        server.wait_for(lambda: len(whole(server)) >= 2)
        take = take_of(server)
        # The window on disk is at most a second behind: the last segment may not be there yet.
        before = whole(server)[:-1]
        server.kill()
        server.start()
        # Silence makes segments too: the file is back when it has been let in.
        server.wait_for(lambda: bool(server.get("/rooms/demo").json["live"]["speakers"]), 40)
        server.wait_for(lambda: len(whole(server)) >= len(before) + 2)
        assert take_of(server) == take
        assert whole(server)[: len(before)] == before
        assert process.poll() is None
        assert server.request("POST", "/rooms/demo/end").status == 200
        out, err = process.communicate(timeout=10)
        server.wait_for(lambda: "#EXT-X-ENDLIST" in server.media_playlist("demo", "64k"))
    assert "trying again" in out
    assert (process.returncode, err.count("\n")) == (1, 1)
    assert "ended" in err


def test_an_origin_that_comes_back_empty_is_filled_and_holds_the_same_bytes(
    tmp_path: Path, file: Path
) -> None:
    with (
        Server(tmp_path / "origin", command="origin") as far,
        Server(tmp_path / "data", "--origin", far.url) as server,
        publishing(server, file),
    ):
        far.wait_for(lambda: len(whole(far)) >= 1)
        far.kill()
        server.wait_for(lambda: len(whole(server)) >= 2)
        far.data_dir = tmp_path / "empty"
        far.start()
        far.wait_for(lambda: len(whole(far)) >= 3)
        # Whether a room is to be listed is not known there.
        assert far.get("/rooms.json").json == {"rooms": []}
        assert server.request("POST", "/rooms/demo/end").status == 200
        for one in (server, far):
            one.wait_for(lambda one=one: "#EXT-X-ENDLIST" in one.media_playlist("demo", "64k"))  # type: ignore[misc]
        here, there = (segments(one.media_playlist("demo", "64k")) for one in (server, far))
        assert here == there
        assert not [uri for uri in there if uri.startswith("gap")]
        place = f"/live/demo/{take_of(server)}/64k"
        for uri in here:
            assert server.get(f"{place}/{uri}").body == far.get(f"{place}/{uri}").body
