"""Replays that are damaged, or change while they are read."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest

from storage.derived import BLOCK
from storage.disk_objects import DiskObjects
from storage.names import entry_name, take_object
from tests.replay_bytes import FRAGMENT, M4A, spoil, taken
from tests.replay_site import KEY, Kept, Watched, keep, mark_open, serving, steps


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


@pytest.mark.parametrize("how", ["other bytes", "cut short", "missing"])
@pytest.mark.parametrize(("name", "path"), [(M4A, ".m4a"), (FRAGMENT, "64k/15.mp4")])
async def test_damaged_bytes_are_never_sent(objects: Watched, name: str, path: str, how: str) -> None:
    keep(objects, Kept())
    match how:
        case "other bytes":
            spoil(objects, name, 1_000)
        case "cut short":
            objects.write(name, [b"x"])
        case _:
            objects.delete([name])
    async with serving(objects) as site:
        for n in range(1, 3):
            answer = await site.get(path)
            assert (answer.status, name in answer.error) == (502, True)
            assert (answer.headers["Cache-Control"], site.failures("damaged")) == ("no-store", n)
        # What is sound is served.
        assert (await site.get("64k/0.mp4")).status == 200
        assert (await site.get("take.json")).status == 200


async def test_a_text_that_is_damaged_is_never_shown(objects: Watched) -> None:
    keep(objects, Kept())
    for name in ("replay.m3u8", "64k/replay.m3u8", "chapters.json", "peaks.json"):
        spoil(objects, take_object(KEY, name), 3)
    async with serving(objects) as site:
        for path in ("index.m3u8", "64k/index.m3u8", "chapters.json", "peaks.json"):
            assert (await site.get(path)).status == 502


async def test_damage_in_the_middle_cuts_the_answer_before_it(objects: Watched) -> None:
    kept = keep(objects, Kept(size=4 * BLOCK))
    spoil(objects, M4A, 2 * BLOCK + 7)
    async with serving(objects) as site:
        status, body, whole = await taken(site)
        assert (status, whole) == (200, False)
        assert kept.m4a.startswith(body)
        assert len(body) <= 2 * BLOCK
        assert site.failures("damaged") == 1
        # What does not touch it is served, and the server lives.
        assert await taken(site, Range=f"bytes=0-{2 * BLOCK - 1}") == (206, kept.m4a[: 2 * BLOCK], True)
        assert await taken(site, Range=f"bytes={3 * BLOCK}-") == (206, kept.m4a[3 * BLOCK :], True)
        assert (await site.get(".m4a", Range=f"bytes={2 * BLOCK}-")).status == 502


async def test_a_storage_that_fails_in_the_middle_cuts_the_answer(objects: Watched) -> None:
    kept = keep(objects, Kept(size=4 * BLOCK))

    def fail_later(name: str, start: int) -> None:
        objects.broken = name == M4A and start == BLOCK

    objects.before_read = fail_later
    async with serving(objects) as site:
        # The read that fails is the one after: the second block comes, the third does not.
        status, body, whole = await taken(site)
        assert (status, whole, kept.m4a.startswith(body)) == (200, False, True)
        assert len(body) <= 2 * BLOCK
        assert site.failures("storage") == 1


async def test_a_version_that_comes_in_the_middle_is_not_mixed_in(objects: Watched) -> None:
    kept = keep(objects, Kept(size=4 * BLOCK))
    changed = kept.changed(seed=2, title="Another")

    def edit_later(name: str, start: int) -> None:
        if name == M4A and start == BLOCK:
            objects.before_read = lambda _name, _start: None
            keep(objects.inner, changed)

    objects.before_read = edit_later
    async with serving(objects) as site:
        status, body, whole = await taken(site)
        assert (status, whole) == (200, False)
        assert kept.m4a.startswith(body)
        assert (site.failures("replaced"), site.failures("damaged")) == (1, 0)
        assert await taken(site) == (200, changed.m4a, True)


async def test_a_version_that_came_before_the_first_byte_is_the_answer(objects: Watched) -> None:
    kept = keep(objects, Kept())
    changed = kept.changed(seed=2, title="Another")
    async with serving(objects, fresh_seconds=600) as site:
        # It is known for long, and none of its bytes are.
        assert (await site.get("take.json")).status == 200
        keep(objects, changed)
        for path, body in ((".m4a", changed.m4a), ("chapters.json", changed.made["chapters.json"])):
            answer = await site.get(path)
            assert (answer.status, answer.body == body) == (200, True)
        assert site.failures("damaged") == 0


async def test_a_replay_that_was_hidden_meanwhile_is_not_shown_in_its_new_version(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects, fresh_seconds=600) as site:
        assert (await site.get("take.json")).status == 200
        keep(objects, kept.changed(seed=2, published=False))
        assert (await site.get(".m4a")).status == 404
        objects.delete([entry_name(KEY)])
        objects.delete([M4A])
        assert (await site.get(".m4a")).status == 404


@pytest.mark.parametrize(
    "last", ["meta", "replay.m4a", "replay.m3u8", "64k/replay.m3u8", "chapters.json", "derived"]
)
async def test_while_it_is_changed_a_replay_is_one_version_or_comes_later(
    objects: Watched, last: str
) -> None:
    kept = keep(objects, Kept())
    changed = kept.changed(seed=2, title="Another")
    mark_open(objects)
    keep(objects, changed, upto=last)
    async with serving(objects) as site:
        for path, name in (
            (".m4a", "replay.m4a"),
            ("chapters.json", "chapters.json"),
            ("index.m3u8", "replay.m3u8"),
        ):
            answer = await site.get(path)
            if answer.status == 503:
                assert (answer.headers["Retry-After"], "being changed" in answer.error) == ("1", True)
            else:
                assert answer.status == 200
                assert answer.body in {kept.made[name], changed.made[name]}
        assert (await site.get("64k/0.mp4")).body == kept.fragments[0]
        assert site.failures("damaged") == 0
        keep(objects, changed)
        assert (await site.get(".m4a")).body == changed.m4a


async def test_no_answer_is_ever_a_mix_of_versions(objects: Watched) -> None:
    versions = [Kept(size=3 * BLOCK + n, seed=n, title=f"Title {n}") for n in range(4)]
    whole = {kept.m4a for kept in versions}
    keep(objects, versions[0])
    mark_open(objects)
    done = asyncio.Event()

    async def edit() -> None:
        for turn in range(10):
            for _, name, data in steps(versions[turn % len(versions)]):
                if "64k/" not in name or name.endswith("m3u8"):
                    await asyncio.to_thread(objects.write, name, [data])
        done.set()

    async def listen(seen: list[int]) -> None:
        while not done.is_set():
            with contextlib.suppress(aiohttp.ClientError):
                status, body, all_of_it = await taken(site)
                seen.append(status)
                assert status in {200, 503}
                assert not all_of_it or status == 503 or body in whole
                assert status == 503 or any(each.startswith(body) for each in whole)

    seen: list[int] = []
    async with serving(objects) as site:
        await asyncio.gather(edit(), *(listen(seen) for _ in range(4)))
        assert 200 in seen
        assert site.failures("damaged") == 0
