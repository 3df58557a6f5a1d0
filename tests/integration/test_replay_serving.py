"""Replays over HTTP: who sees what, and how long it may be kept."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from contracts.tokens import TokenGate
from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from tests.origins import Answer
from tests.replay_addresses import HOSTS, STRANGERS, TEXTS, TYPES
from tests.replay_site import KEY, Kept, Watched, bearer, keep, serving


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


async def test_everything_of_a_replay_is_public_and_kept_for_a_minute(objects: Watched) -> None:
    kept = keep(objects, Kept())
    bodies = {
        ".m4a": kept.m4a,
        "64k/0.mp4": kept.fragments[0],
        "index.m3u8": kept.made["replay.m3u8"],
        "64k/index.m3u8": kept.made["64k/replay.m3u8"],
        "chapters.json": kept.made["chapters.json"],
        "peaks.json": kept.made["peaks.json"],
        "take.json": to_bytes(kept.commit().to_json()),
    }
    async with serving(objects) as site:
        tags = set()
        for path, content_type in TYPES.items():
            answer = await site.get(path)
            assert answer.status == 200, path
            assert answer.body == bodies.get(path, answer.body), path
            assert answer.headers["Content-Type"] == content_type
            assert answer.headers["Cache-Control"] == "public, max-age=60"
            assert answer.headers["Surrogate-Key"] == KEY.take
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
            assert "Authorization" not in answer.headers.get("Vary", "")
            tags.add(answer.headers["ETag"])
            assert answer.headers["ETag"].startswith('"')
        assert len(tags) == len(TYPES)
        assert (await site.get("64k/init.mp4")).body[4:8] == b"ftyp"
        assert (await site.get(".m4a")).headers["Content-Disposition"] == 'inline; filename="The harbour.m4a"'


async def test_what_a_cache_has_it_need_not_get_again(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for path in TYPES:
            answer = await site.get(path)
            tag = answer.headers["ETag"]
            for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
                again = await site.get(path, If_None_Match=known)
                assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
                assert again.headers["Cache-Control"] == "public, max-age=60"
            assert (await site.get(path, If_None_Match='"other"')).body == answer.body


async def test_a_head_says_what_a_get_would(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for path in TYPES:
            answer = await site.get(path)
            head = await site.request("HEAD", path)
            assert (head.status, head.body) == (200, b"")
            for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Cache-Control"):
                assert head.headers[name] == answer.headers[name]
            assert (await site.request("OPTIONS", path)).status == 204
            assert (await site.request("POST", path)).status == 405


async def test_texts_are_packed_for_who_takes_it(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for path in TEXTS:
            plain = await site.get(path)
            packed = await site.get(path, Accept_Encoding="gzip, br")
            assert gzip.decompress(packed.body) == plain.body
            assert packed.headers["Content-Encoding"] == "gzip"
            assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
            assert packed.headers["ETag"] == f'{plain.headers["ETag"][:-1]}-gz"'
            assert "Content-Encoding" not in plain.headers
            same = await site.get(path, Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"])
            assert same.status == 304


async def test_media_is_never_packed(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects) as site:
        answer = await site.get(".m4a", Accept_Encoding="gzip")
        assert answer.body == kept.m4a
        assert "Content-Encoding" not in answer.headers


def told(answer: Answer) -> tuple[object, ...]:
    """All that an answer tells, but when."""
    return answer.status, answer.body, {(k, v) for k, v in answer.headers.items() if k != "Date"}


async def test_what_is_not_published_is_as_what_never_was(objects: Watched) -> None:
    keep(objects, Kept(published=False))
    async with serving(objects) as site:
        for who, headers in STRANGERS.items():
            for path in TYPES:
                hidden = await site.get(path, headers)
                absent = await site.get(f"/replay/nowhere/{KEY.take}{'' if path == '.m4a' else '/'}{path}")
                assert told(hidden) == told(absent), (who, path)
                assert hidden.status == 404
                # So that a shared cache does not answer a host with it.
                assert hidden.headers["Vary"] == "Authorization"
                assert hidden.headers["Cache-Control"] == "public, max-age=1"


async def test_its_host_sees_what_is_not_published_and_no_cache_keeps_it(objects: Watched) -> None:
    keep(objects, Kept(published=False))
    async with serving(objects) as site:
        for who, headers in HOSTS.items():
            for path in TYPES:
                answer = await site.get(path, headers)
                assert answer.status == 200, (who, path)
                assert answer.headers["Cache-Control"] == "no-store"
                assert "Authorization" in answer.headers["Vary"]
        assert (await site.get("64k/0.mp4", bearer("host"), Range="bytes=1-2")).status == 206
        counted = site.origin.metrics.registry.get_sample_value(
            "longwave_http_requests_total", {"kind": "hidden_replay", "status": "200"}
        )
        assert counted == len(TYPES) * len(HOSTS)


async def test_what_is_published_is_for_everybody_whatever_they_send(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for headers in STRANGERS.values():
            answer = await site.get("chapters.json", headers)
            assert (answer.status, answer.headers["Cache-Control"]) == (200, "public, max-age=60")


async def test_without_tokens_who_shows_one_is_the_host(objects: Watched) -> None:
    keep(objects, Kept(published=False))
    async with serving(objects, gate=TokenGate()) as site:
        assert (await site.get("take.json")).status == 404
        assert (await site.get("take.json", Authorization="Bearer any")).status == 200


async def test_to_publish_and_to_unpublish_shows_at_once(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects) as site:
        for published, status in ((False, 404), (True, 200), (False, 404)):
            keep(objects, kept.changed(published=published))
            assert [(await site.get(path)).status for path in TYPES] == [status] * len(TYPES)
            # What was made ready for one of them is not sent as the other.
            for path in TYPES:
                answer = await site.get(path, bearer("host"))
                wanted = "public, max-age=60" if published else "no-store"
                assert (answer.status, answer.headers["Cache-Control"]) == (200, wanted)
