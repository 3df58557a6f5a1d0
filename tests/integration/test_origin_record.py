"""`take.json` over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from tests.origins import running
from tests.replay_site import KEY, Kept, Watched, keep, serving

PATH = f"/replay/{KEY.room}/{KEY.take}/take.json"


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


async def test_the_record_is_public_and_kept_for_a_minute(objects: Watched) -> None:
    body = to_bytes(keep(objects, Kept()).commit().to_json())
    async with serving(objects) as site:
        answer = await site.get(PATH)
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "public, max-age=60"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        tag = answer.headers["ETag"]
        assert not tag.startswith("W/")
        again = await site.get(PATH, If_None_Match=tag)
        assert (again.status, again.body) == (304, b"")
        head = await site.request("HEAD", PATH)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(body)))


@pytest.mark.parametrize(
    ("path", "status"),
    [(f"/replay/elsewhere/{KEY.take}/take.json", 404), ("/replay/town-hall/yesterday/take.json", 400)],
)
async def test_no_record_is_an_error_that_is_kept_for_a_second(
    objects: Watched, path: str, status: int
) -> None:
    async with serving(objects) as site:
        answer = await site.get(path)
        assert answer.status == status
        assert answer.headers["Cache-Control"] == "public, max-age=1"
        assert answer.error


async def test_a_storage_that_fails_is_not_the_listeners_fault(objects: Watched) -> None:
    keep(objects, Kept())
    objects.broken = True
    async with serving(objects) as site:
        answer = await site.get(PATH)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["Cache-Control"] == "public, max-age=1"


async def test_an_origin_apart_from_the_storage_has_no_replays() -> None:
    async with running() as room:
        for path in (PATH, PATH.replace("/take.json", ".m4a"), PATH.replace("take.json", "64k/0.mp4")):
            assert (await room.get(path)).status == 404
