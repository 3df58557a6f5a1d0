"""All of `longwave serve` on the data directory, which is the default, and in S3 by two settings."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import feedparser
import numpy as np
import pytest
from mutagen.mp4 import MP4

from contracts.take import TakeKey
from storage.names import META, entry_name, fragment_name, open_name, take_object
from storage.objects import Objects
from storage.open import open_objects
from storage.s3_options import S3Options
from tests import programs
from tests.audio import RATE, beeps, find_beeps
from tests.faulty_proxy import Fault, FaultyProxy
from tests.s3_server import CREDENTIALS, s3_server
from tests.server import Server

ROOM = "friday"
_SECONDS = 2.7
_PERIOD = RATE // 2


@dataclass(frozen=True)
class Radio:
    """A running server, where it keeps things, and a take that it has made a replay of."""

    server: Server
    objects: Objects
    env: dict[str, str]
    take: str

    @property
    def key(self) -> TakeKey:
        return TakeKey(ROOM, self.take)

    @property
    def address(self) -> str:
        return f"/replay/{ROOM}/{self.take}"

    @property
    def for_host(self) -> str:
        return f"/rooms/{ROOM}/replays/{self.take}"

    def patch(self, **change: object) -> Any:  # noqa: ANN401 - parsed JSON
        answer = self.server.request("PATCH", self.for_host, json.dumps(change).encode())
        assert answer.status == 200, answer.text
        return answer.json

    def command(self, *args: str) -> str:
        """What `longwave replay …` says with the settings that the server has."""
        argv = [sys.executable, "-m", "longwave", "replay", *args, "--data-dir", str(self.server.data_dir)]
        done = subprocess.run(
            argv, env=self.server.env, capture_output=True, text=True, timeout=50, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def settings_for(storage: str) -> dict[str, str]:
    """What an operator sets; the credentials are where AWS programs look for them."""
    if storage == "disk":
        return {}
    url = f"s3://{s3_server().new_bucket()}/radio"
    return {"LONGWAVE_STORAGE": url, "LONGWAVE_S3_ENDPOINT": s3_server().url, **CREDENTIALS}


def storage_of(env: dict[str, str], data_dir: Path) -> Objects:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        endpoint = s3_server().url if "LONGWAVE_STORAGE" in env else None
        return open_objects(env.get("LONGWAVE_STORAGE"), data_dir, S3Options(endpoint=endpoint))


def make_room(server: Server, room: str = ROOM) -> int:
    """Write its record; the status."""
    record = {"title": "Friday & friends", "renditions": ["64k", "32k"]}
    return server.request("PUT", f"/rooms/{room}", json.dumps(record).encode()).status


def speak(server: Server, room: str = ROOM, seconds: float = _SECONDS) -> str:
    """A take from its first sample to its end, in real time; its id."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sound = beeps(seconds, period_samples=_PERIOD).tobytes()
    connection.request("PUT", f"/pcm/{room}?sound=as-is&speaker=Ada", body=iter([sound]))
    Server.wait_for(lambda: server.get(f"/rooms/{room}").json["live"] is not None)
    take: str = server.get(f"/rooms/{room}").json["live"]["take"]
    assert server.request("POST", f"/rooms/{room}/chapters", b'{"title": "Hello"}').status == 201
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()
    assert server.request("POST", f"/rooms/{room}/end").status < 300
    return take


def is_there(server: Server, take: str, room: str = ROOM) -> bool:
    return server.get(f"/replay/{room}/{take}/take.json").status == 200


def wait_for_replay(
    server: Server, objects: Objects, take: str, room: str = ROOM, seconds: float = 20.0
) -> None:
    """Until it is served. Who asks too early is told so for seconds: servers look into S3 rarely."""
    Server.wait_for(lambda: objects.head(entry_name(TakeKey(room, take))) is not None, seconds)
    Server.wait_for(lambda: is_there(server, take, room))


@pytest.fixture(scope="module", params=["disk", "s3"])
def radio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radio]:
    env = settings_for(request.param)
    data_dir = tmp_path_factory.mktemp("radio") / "data"
    objects = storage_of(env, data_dir)
    with Server(data_dir, env=env) as server:
        assert make_room(server) == 201
        take = speak(server)
        wait_for_replay(server, objects, take)
        yield Radio(server, objects, env, take)
    objects.close()


def decoded(source: str | Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    argv = [programs.path("ffmpeg"), "-nostdin", "-v", "warning", "-i", str(source), "-f", "s16le", "-"]
    done = subprocess.run(argv, capture_output=True, timeout=50, check=True)
    assert done.stderr == b""
    return np.frombuffer(done.stdout, np.int16)


def assert_beeps(heard: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    """All of them, in order, and as far apart as they were sent."""
    found = find_beeps(heard)
    assert [beep.tone for beep in found] == [0, 1, 2, 3, 4, 5]
    # The first one may lie in the take's first frame, which fades in.
    apart = np.diff([beep.sample for beep in found[1:]])
    assert np.abs(apart - _PERIOD).max() <= RATE // 1000


@pytest.mark.needs("ffmpeg")
def test_what_was_said_is_in_the_storage_and_is_heard(radio: Radio) -> None:
    for name in (
        fragment_name(radio.key, "32k", 0),
        fragment_name(radio.key, "64k", 0),
        take_object(radio.key, "replay.m4a"),
        entry_name(radio.key),
    ):
        assert radio.objects.head(name) is not None, name
    Server.wait_for(lambda: radio.objects.head(open_name(radio.key)) is None)
    assert radio.server.get("/readyz").json["degraded"] == []
    assert_beeps(decoded(f"{radio.server.url}{radio.address}.m4a"))
    assert_beeps(decoded(f"{radio.server.url}{radio.address}/index.m3u8"))


def test_in_a_bucket_nothing_of_a_replay_is_left_on_the_servers_disk(radio: Radio) -> None:
    local = [
        path.relative_to(radio.server.data_dir).as_posix() for path in radio.server.data_dir.rglob("*.m*4*")
    ]
    # The window of what was live is the origin's own; a spool is there until the bucket has everything.
    kept = [path for path in local if not path.startswith("window/")]
    assert bool(kept) == (not radio.env), kept


@pytest.mark.needs("ffmpeg")
def test_another_origin_on_the_same_storage_serves_the_same(radio: Radio, tmp_path: Path) -> None:
    place = radio.env or {"LONGWAVE_STORAGE": radio.server.data_dir.absolute().as_uri()}
    with Server(tmp_path / "edge", command="origin", env=place) as other:
        for path in (".m4a", "/index.m3u8", "/64k/0.mp4", "/chapters.json", "/take.json"):
            here, there = (each.get(radio.address + path) for each in (radio.server, other))
            assert (here.status, there.status) == (200, 200), path
            assert here.headers["ETag"] == there.headers["ETag"]
            assert here.body == there.body
        # Feeds differ in nothing but the server's name.
        (item,) = feedparser.parse(other.get(f"/feeds/{ROOM}.xml").body).entries
        assert item.enclosures[0].href == f"{other.url}{radio.address}.m4a"


@pytest.mark.needs("ffmpeg")
def test_the_command_line_has_the_same_storage(radio: Radio, tmp_path: Path) -> None:
    name = f"{ROOM}/{radio.take}"
    (report,) = json.loads(radio.command("verify", name, "--json"))["replays"]
    assert (report["whole"], report["missing_samples"]) == (True, 0)
    radio.command("export", name, str(tmp_path / "out.m4a"))
    assert (tmp_path / "out.m4a").read_bytes() == radio.server.get(f"{radio.address}.m4a").body


def test_the_feed_leads_to_the_very_bytes_and_knows_an_episode_again(radio: Radio) -> None:
    feed = feedparser.parse(radio.server.get(f"/feeds/{ROOM}.xml").body)
    assert not feed.bozo
    (item,) = feed.entries
    (sound,) = item.enclosures
    path = sound.href.removeprefix(radio.server.url)
    assert path == f"{radio.address}.m4a"
    whole = radio.server.get(path)
    head = radio.server.request("HEAD", path)
    assert (whole.status, head.status, head.body) == (200, 200, b"")
    assert int(sound.length) == len(whole.body) == int(head.headers["Content-Length"])
    # Apple's name for what is registered as the other.
    assert sound.type == "audio/x-m4a"
    assert whole.headers["Content-Type"] == head.headers["Content-Type"] == "audio/mp4"
    assert head.headers["Accept-Ranges"] == "bytes"
    part = radio.server.get(path, {"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, whole.body[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(whole.body)}"
    chapters = item.podcast_chapters
    assert chapters["type"] == "application/json+chapters"
    told = radio.server.get(chapters["url"].removeprefix(radio.server.url))
    assert told.headers["Content-Type"] == "application/json+chapters"
    assert [chapter["title"] for chapter in told.json["chapters"]] == ["Hello"]

    radio.patch(
        title="On tides", chapters=[{"seconds": 0, "title": "First"}, {"seconds": 2, "title": "Then"}]
    )
    (edited,) = feedparser.parse(radio.server.get(f"/feeds/{ROOM}.xml").body).entries
    assert (edited.id, edited.title) == (item.id, "On tides")
    assert (edited.guidislink, edited.published) == (False, item.published)
    body = radio.server.get(path).body
    assert int(edited.enclosures[0].length) == len(body)


def test_a_hosts_title_and_chapters_are_in_the_file(radio: Radio, tmp_path: Path) -> None:
    told = radio.patch(title="Käse & more", chapters=[{"seconds": 1.5, "title": "Rind"}])
    assert told["title"] == "Käse & more"
    (file := tmp_path / "replay.m4a").write_bytes(radio.server.get(f"{radio.address}.m4a").body)
    tags: Any = MP4(file)  # type: ignore[no-untyped-call]
    assert tags.tags["\xa9nam"] == ["Käse & more"]
    assert [(each.start, each.title) for each in tags.chapters] == [(1.5, "Rind")]
    assert_beeps(decoded(file))


def test_what_is_not_published_is_nowhere_until_it_is(radio: Radio) -> None:
    radio.patch(published=False)
    for path in (f"{radio.address}.m4a", f"{radio.address}/index.m3u8", f"{radio.address}/64k/0.mp4"):
        assert radio.server.get(path).status == 404
    assert feedparser.parse(radio.server.get(f"/feeds/{ROOM}.xml").body).entries == []
    (row,) = json.loads(radio.command("list", "--json"))["replays"]
    assert (row["take"], row["state"], row["published"]) == (radio.take, "ready", False)
    radio.patch(published=True)
    assert radio.server.get(f"{radio.address}.m4a").status == 200
    assert len(feedparser.parse(radio.server.get(f"/feeds/{ROOM}.xml").body).entries) == 1


def test_what_is_deleted_is_gone_but_for_a_tombstone(radio: Radio) -> None:
    server = radio.server
    key = TakeKey("other", take := speak(server, "other", 0.5))
    wait_for_replay(server, radio.objects, take, "other")
    assert server.request("DELETE", f"/rooms/other/replays/{take}").status == 204
    assert server.get(f"/replay/other/{take}.m4a").status == 404
    assert [info.name for info in radio.objects.list(f"rooms/other/{take}/")] == [take_object(key, META)]
    assert radio.objects.head(entry_name(key)) is None
    assert server.request("DELETE", f"/rooms/other/replays/{take}").status == 404


@pytest.mark.needs("ffmpeg")
def test_a_bucket_that_is_away_at_the_start_is_filled_when_it_comes(tmp_path: Path) -> None:
    bucket = s3_server().new_bucket()
    with FaultyProxy(s3_server().port) as proxy:
        env = {"LONGWAVE_STORAGE": f"s3://{bucket}", "LONGWAVE_S3_ENDPOINT": proxy.url, **CREDENTIALS}
        proxy.down()
        with Server(tmp_path / "data", env=env) as server:
            # What a host says of a room is kept in the storage; who speaks needs none of it.
            assert make_room(server) == 503
            take = speak(server)
            assert server.get(f"/live/{ROOM}/index.m3u8").status == 200
            assert_beeps(decoded(f"{server.url}/live/{ROOM}/{take}/64k/index.m3u8"))
            Server.wait_for(
                lambda: any("archive: " in each for each in server.get("/readyz").json["degraded"])
            )
            answer = server.get(f"/replay/{ROOM}/{take}.m4a")
            assert answer.status in {409, 503}
            assert "Retry-After" in answer.headers
            assert server.get("/readyz").status == 200
            proxy.up()
            objects = storage_of(env, tmp_path)
            wait_for_replay(server, objects, take, seconds=50)
            objects.close()
            assert_beeps(decoded(f"{server.url}/replay/{ROOM}/{take}.m4a"))
            Server.wait_for(lambda: server.get("/readyz").json["degraded"] == [], 30)


def test_a_server_stops_while_its_storage_hangs(tmp_path: Path) -> None:
    bucket = s3_server().new_bucket()
    with FaultyProxy(s3_server().port) as proxy:
        env = {"LONGWAVE_STORAGE": f"s3://{bucket}", "LONGWAVE_S3_ENDPOINT": proxy.url, **CREDENTIALS}
        proxy.add(Fault.HANG, times=1000)
        with Server(tmp_path / "data", env=env) as server:
            assert server.request("PUT", f"/pcm/{ROOM}", bytes(48_000)).status == 200
            Server.wait_for(lambda: len(proxy.requests) > 1)
            # Which waits for less than three tries of a storage that hangs.
            assert server.stop() == 0
        proxy.clear()
