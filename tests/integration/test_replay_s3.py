"""Replays that lie in S3: served from there, or with an address to get them from there."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest

from storage.s3_objects import S3Objects
from storage.s3_options import S3Options
from tests.replay_site import KEY, Kept, keep, serving
from tests.s3_server import CREDENTIALS, s3_server


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Objects]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    s3 = S3Objects(s3_server().new_bucket(), "below", S3Options(endpoint=s3_server().url))
    yield s3
    s3.close()


async def test_a_replay_in_s3_is_served_like_any_other(objects: S3Objects) -> None:
    kept = keep(objects, Kept())
    async with serving(objects) as site:
        assert (await site.get(".m4a")).body == kept.m4a
        part = await site.get(".m4a", Range="bytes=262000-262999")
        assert (part.status, part.body) == (206, kept.m4a[262_000:263_000])
        assert (await site.get("64k/15.mp4", Range="bytes=-9")).body == kept.fragments[15][-9:]
        assert [entry.title for entry in await site.replays.listed()] == ["The harbour"]
        assert (await site.get(f"/replay/nowhere/{KEY.take}.m4a")).status == 404
        keep(objects, kept.changed(published=False))
        assert (await site.get(".m4a")).status == 404
        assert await site.replays.listed() == []


async def test_the_address_that_s3_gives_leads_to_the_very_bytes(objects: S3Objects) -> None:
    kept = keep(objects, Kept(title="Töwn"))
    async with serving(objects, redirect="presign") as site, aiohttp.ClientSession() as anybody:
        sent = await site.get(".m4a", Range="bytes=5-9")
        assert sent.status == 302
        async with anybody.get(sent.headers["Location"], headers={"Range": "bytes=5-9"}) as answer:
            assert (answer.status, await answer.read()) == (206, kept.m4a[5:10])
            assert answer.headers["Content-Type"] == "audio/mp4"
