"""Replays whose sound listeners get from the bucket itself, by addresses that are signed for them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from storage.s3_objects import S3Objects
from storage.s3_options import S3Options
from tests import programs
from tests.audio import RATE, find_beeps
from tests.documented import files
from tests.e2e.replay_ear import playing
from tests.kept import SECONDS, archive, key_of
from tests.s3_server import CREDENTIALS, s3_server
from tests.server import Server
from workers.archive.finish import Finisher

KEY = key_of(1)
# What a page's own program may add to a request, or a player that it has. All else is the browser's matter.
_OF_PROGRAMS = {"authorization", "cache-control", "if-match", "if-none-match", "if-range", "pragma", "range"}
ADDRESS = f"/replay/{KEY.room}/{KEY.take}"


@dataclass(frozen=True)
class Presigned:
    """An origin that sends listeners to a bucket, and who may read there from a page of which site."""

    server: Server
    bucket: str

    def allow(self, cors: Any) -> None:  # noqa: ANN401 - parsed JSON
        client = boto3.client("s3", endpoint_url=s3_server().url, region_name="us-east-1")
        client.put_bucket_cors(Bucket=self.bucket, CORSConfiguration=cors)
        client.close()


@pytest.fixture(scope="module")
def presigned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Presigned]:
    bucket = s3_server().new_bucket()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        objects = S3Objects(bucket, "", S3Options(endpoint=s3_server().url))
        archive(objects, KEY)
        Finisher(objects, None, clock=time.time).finish(KEY)
        objects.close()
        place = {"LONGWAVE_STORAGE": f"s3://{bucket}", "LONGWAVE_S3_ENDPOINT": s3_server().url}
        env = {**place, "LONGWAVE_REPLAY_REDIRECT": "presign", **CREDENTIALS}
        with Server(tmp_path_factory.mktemp("presigned") / "data", command="origin", env=env) as server:
            yield Presigned(server, bucket)


def by_ffmpeg(address: str, *before: str) -> list[tuple[float, int]]:
    """The beeps that ffmpeg hears: tenths of seconds, and tones."""
    argv = [programs.path("ffmpeg"), "-nostdin", "-v", "error", *before, "-i", address, "-f", "s16le", "-"]
    done = subprocess.run(argv, capture_output=True, timeout=50, check=True)
    # It says this of every server that sends it on to another one, and goes on.
    said = [line for line in done.stderr.decode().splitlines() if "Cannot reuse HTTP connection" not in line]
    assert said == []
    heard = np.frombuffer(done.stdout, np.int16)
    return [(round(beep.sample / RATE, 1), beep.tone) for beep in find_beeps(heard)]


@pytest.mark.needs("ffmpeg")
def test_ffmpeg_follows_to_the_bucket_and_seeks_there(presigned: Presigned) -> None:
    address = presigned.server.url + ADDRESS
    whole = [(second, second) for second in range(7)]
    assert by_ffmpeg(f"{address}.m4a") == whole
    assert by_ffmpeg(f"{address}/index.m3u8") == whole
    assert by_ffmpeg(f"{address}.m4a", "-ss", "3.5") == [(0.5, 4), (1.5, 5), (2.5, 6)]


@pytest.mark.needs("chromium")
def test_the_replay_page_plays_what_lies_in_the_bucket(presigned: Presigned, browser: Browser) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(f"{presigned.server.url}{ADDRESS}#t=2")
        page.locator("#play").click()
        expect(page.locator("#elapsed")).to_have_text(re.compile("0:0[3-6]"), timeout=20_000)
        assert any(url.startswith(s3_server().url) for url in asked)
        assert [text for text in complaints if "Content Security Policy" in text] == []
    finally:
        page.close()


@pytest.mark.needs("chromium", "hls.js")
@pytest.mark.parametrize(("ending", "hls"), [(".m4a", False), ("/index.m3u8", True)])
def test_pages_may_look_into_the_sound_with_the_cors_of_the_docs(
    presigned: Presigned, browser: Browser, ending: str, hls: bool
) -> None:
    cors = json.loads(files("replays.md")["cors.json"])
    presigned.allow(cors)
    address = f"{presigned.server.url}{ADDRESS}{ending}"
    with playing(browser, presigned.server.url, address, channels=1, hls=hls) as player:
        assert player.duration == pytest.approx(SECONDS, abs=0.5)
        # Beeps sound at whole seconds.
        heard = player.after_seek(3.98, RATE + RATE // 4)
        assert [beep.tone for beep in find_beeps(heard[:, 0])] == [4, 5]
        # This S3 lets every page; a real one asks its rules.
        (rule,) = cors["CORSRules"]
        asked = [request for request in player.requests if request.url.startswith(s3_server().url)]
        assert asked
        for request in asked:
            assert request.method in rule["AllowedMethods"]
            allowed = {name.lower() for name in rule["AllowedHeaders"]}
            assert request.headers.keys() & _OF_PROGRAMS <= allowed
