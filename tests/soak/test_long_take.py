"""Ten minutes that were said in real time, heard as replays: one channel and two at once, from every second.

LONGWAVE_SOAK_SECONDS makes it shorter.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contracts.take import TakeKey
from pipeline.pcm import Pcm
from tests.audio import RATE, best_lag
from tests.e2e.listener import MAY_PLAY, chromium
from tests.long_take import LongTake, long_speech
from tests.long_take_ear import by_ffmpeg
from tests.long_take_players import hear_all, seek_chromium, seek_ffmpeg, seek_mpv, seek_pyav
from tests.server import Server

SECONDS = int(os.environ.get("LONGWAVE_SOAK_SECONDS", "610"))
ROOMS = {"mono": (1, ("64k", "32k")), "stereo": (2, ("128k", "64k"))}
_STEP = 7.3
_BLOCK = RATE // 10
# Ahead of the clock: the server's own buffer, and as much again.
_LEAD_SECONDS = 0.4


def blocks(sound: Pcm) -> Iterator[bytes]:
    """As a live source gives them."""
    began = time.monotonic()
    for start in range(0, len(sound), _BLOCK):
        due = began + start / RATE - _LEAD_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
        yield sound[start : start + _BLOCK].tobytes()


def speak(server: Server, room: str, sound: Pcm) -> LongTake:
    """Say it, and give the take, once its replay is there."""
    channels, renditions = ROOMS[room]
    record = json.dumps({"channels": channels, "renditions": renditions}).encode()
    assert server.request("PUT", f"/rooms/{room}", record).status == 201
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("PUT", f"/pcm/{room}?sound=as-is&channels={channels}", body=blocks(sound))
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, told
    take = server.get(f"/rooms/{room}").json["live"]["take"]
    assert server.request("POST", f"/rooms/{room}/end").status < 300
    said = LongTake(sound, TakeKey(room, take), server.data_dir)
    server.wait_for(lambda: server.get(f"{said.address}/take.json").status == 200, 60)
    # A machine that did not keep up has put silence in: that is said, and is no matter of replays.
    assert (told["silence"], told["dropped"]) == (0, 0)
    return said


def on_its_clock(take: LongTake, server: Server) -> LongTake:
    """The take's source as it lies on the take's clock: that began before the first sample was due."""
    channels = take.source.shape[1]
    heard = by_ffmpeg(f"{server.url}{take.address}.m4a", channels, "-t", "20")
    lag = best_lag(take.source[5 * RATE : 10 * RATE, 0], heard[:, 0]).lag - 5 * RATE
    assert 0 <= lag < RATE
    samples = server.get(f"{take.address}/take.json").json["samples"]
    source = np.zeros((samples, channels), np.int16)
    said = take.source[: samples - lag]
    source[lag : lag + len(said)] = said
    return replace(take, source=source)


@pytest.mark.soak
@pytest.mark.timeout(SECONDS * 3 + 600)
@pytest.mark.needs("ffmpeg", "mpv", "chromium", "hls.js")
def test_what_was_said_for_ten_minutes_is_heard_from_any_second_in_every_player(tmp_path: Path) -> None:
    sounds = {room: long_speech(SECONDS * RATE + 333, channels) for room, (channels, _) in ROOMS.items()}
    with Server(tmp_path / "data") as server:
        with ThreadPoolExecutor(len(ROOMS)) as speakers:
            spoken = [speakers.submit(speak, server, room, sound) for room, sound in sounds.items()]
            takes = [on_its_clock(each.result(), server) for each in spoken]
        for take in takes:
            best = ROOMS[take.key.room][1][0]
            length = len(take.source) / RATE
            rng = random.Random(take.key.room)
            marks = [round(_STEP * n, 3) for n in range(1, int((length - 2) / _STEP))]
            anywhere = [round(rng.uniform(1, length - 2), 3) for _ in range(12)]
            print(f"\n{take.key.room}: {hear_all(take, server.url, best)}")  # noqa: T201 - read by people
            seek_ffmpeg(take, server.url, marks + anywhere)
            seek_pyav(take, server.url, marks + anywhere, best)
            seek_mpv(take, server.url, marks[::4] + anywhere, tmp_path)
            with chromium(MAY_PLAY) as browser:
                seek_chromium(take, server.url, marks[::4] + anywhere, browser)
