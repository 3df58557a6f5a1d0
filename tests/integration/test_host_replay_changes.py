"""What a host changes of a replay, over HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import EditConflict, NotFound, StorageUnavailable
from storage.meta import TakeMeta
from tests.replay_desk import KEY, SAMPLES, Server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path) as made:
        yield made


async def test_title_and_chapters_are_changed_and_given_back(server: Server) -> None:
    server.desk.finish()
    status, answer = await server.patch(
        {
            "title": "Ein Gespr\u00e4ch \U0001f680",
            "chapters": [{"seconds": 2.5, "title": "Late"}, {"sample": 1, "title": "Early"}],
        }
    )
    chapters = [
        {"sample": 1, "seconds": 0.00002, "title": "Early"},
        {"sample": 120_000, "seconds": 2.5, "title": "Late"},
    ]
    assert status == 200
    assert answer["title"] == "Ein Gespr\u00e4ch \U0001f680"
    assert answer["chapters"] == chapters
    assert answer["own"] == {"title": answer["title"], "chapters": chapters}
    assert answer["published"] is True
    assert (await server.ask("GET", f"/{KEY.take}"))[1] == answer
    assert (await server.ask("GET", ""))[1]["replays"][0]["title"] == answer["title"]

    # What is left out stays; null gives back what the take had; no chapters are not those of the take.
    status, answer = await server.patch({"title": None})
    assert answer["title"] == "Friday, 1 January 2026"
    assert answer["own"] == {"title": None, "chapters": chapters}
    assert (await server.patch({"chapters": []}))[1]["chapters"] == []
    status, answer = await server.patch({"chapters": None})
    assert [chapter["title"] for chapter in answer["chapters"]] == ["Welcome", "News"]
    assert server.desk.meta() == TakeMeta()


async def test_a_replay_is_unpublished_and_published(server: Server) -> None:
    server.desk.finish()
    for published in (False, True):
        status, answer = await server.patch({"published": published})
        assert (status, answer["published"]) == (200, published)
        assert server.desk.meta().published is published
    # Who serves listeners looks again at once.
    assert server.changed == [KEY, KEY]


async def test_nothing_to_change_changes_nothing(server: Server) -> None:
    server.desk.finish()
    status, answer = await server.patch({})
    assert (status, answer["title"], server.desk.edits) == (200, "Friday, 1 January 2026", 0)
    assert server.changed == []


WHOLE_LIST = [{"sample": n, "title": "x"} for n in range(1001)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "a JSON object"),
        ("title", "a JSON object"),
        (None, "a JSON object"),
        ({"titel": "x"}, "titel: not known here"),
        ({"deleted_at": None}, "deleted_at: not known here"),
        ({"title": ""}, "title: "),
        ({"title": " "}, "title: "),
        ({"title": "two\nlines"}, "title: "),
        ({"title": "\ud800"}, "title: "),
        ({"title": "x" * 1025}, "title: "),
        ({"title": 3}, "title: "),
        ({"published": None}, "published: "),
        ({"published": "no"}, "published: "),
        ({"published": 1}, "published: "),
        ({"chapters": {}}, "chapters: "),
        ({"chapters": "none"}, "chapters: "),
        ({"chapters": WHOLE_LIST}, "chapters: null, or a list of at most 1000"),
        ({"chapters": ["x"]}, "chapters[0]: "),
        ({"chapters": [{"sample": 0, "title": "x"}, {"sample": 1}]}, "chapters[1]: "),
        ({"chapters": [{"title": "x"}]}, "chapters[0]: "),
        ({"chapters": [{"title": "x", "sample": 0, "seconds": 0}]}, "chapters[0]: "),
        ({"chapters": [{"title": "x", "sample": 0, "url": "y"}]}, "chapters[0].url: "),
        ({"chapters": [{"title": "", "sample": 0}]}, "chapters[0].title: "),
        ({"chapters": [{"title": None, "sample": 0}]}, "chapters[0].title: "),
        ({"chapters": [{"title": "x", "sample": -1}]}, "chapters[0].sample: within"),
        ({"chapters": [{"title": "x", "sample": SAMPLES}]}, "chapters[0].sample: within"),
        ({"chapters": [{"title": "x", "sample": 1.5}]}, "chapters[0].sample: a whole number"),
        ({"chapters": [{"title": "x", "sample": True}]}, "chapters[0].sample: a whole number"),
        ({"chapters": [{"title": "x", "sample": "0"}]}, "chapters[0].sample: a whole number"),
        ({"chapters": [{"title": "x", "seconds": 10}]}, "chapters[0].seconds: within"),
        ({"chapters": [{"title": "x", "seconds": 9.999999}]}, "chapters[0].seconds: within"),
        ({"chapters": [{"title": "x", "seconds": -1e300}]}, "chapters[0].seconds: within"),
        ({"chapters": [{"title": "x", "seconds": 10**400}]}, "chapters[0].seconds: within"),
        ({"chapters": [{"title": "x", "seconds": float("nan")}]}, "chapters[0].seconds: a number"),
        ({"chapters": [{"title": "x", "seconds": float("inf")}]}, "chapters[0].seconds: a number"),
        ({"chapters": [{"title": "x", "seconds": "1"}]}, "chapters[0].seconds: a number"),
        (
            {"chapters": [{"title": "x", "sample": 48_000}, {"title": "y", "seconds": 1}]},
            "chapters[1]: another chapter begins at sample 48000",
        ),
    ],
)
async def test_what_cannot_be_is_refused_and_named(server: Server, body: object, named: str) -> None:
    server.desk.finish()
    data = json.dumps(body).encode()
    status, answer, _ = await server.ask("PATCH", f"/{KEY.take}", data=data)
    assert (status, answer["error"].startswith(named)) == (400, True), answer
    # The good half of a bad request is not done either.
    assert server.desk.edits == 0


async def test_a_thousand_chapters_are_taken_and_a_megabyte_is_not(server: Server) -> None:
    server.desk.finish()
    status, answer = await server.patch({"chapters": WHOLE_LIST[:1000]})
    assert (status, len(answer["chapters"])) == (200, 1000)
    status, _, _ = await server.ask("PATCH", f"/{KEY.take}", data=io.BytesIO(b" " * (1024 * 1024 + 1)))
    assert status == 413
    for garbage in (b"", b"{", b"\xff", b"[" * 100_000):
        status, _, _ = await server.ask("PATCH", f"/{KEY.take}", data=garbage)
        assert status == 400


async def test_a_take_that_is_being_finished_cannot_be_changed_yet(server: Server) -> None:
    server.desk.mark(KEY)
    status, answer, headers = await server.ask("PATCH", f"/{KEY.take}", json={"published": False})
    assert (status, headers["Retry-After"]) == (409, "2")
    assert "being finished" in answer["error"]
    status, answer, _ = await server.ask("GET", f"/{KEY.take}")
    assert (status, answer["state"]) == (200, "finishing")


async def test_somebody_else_in_the_same_moment_and_a_storage_that_is_gone_are_said(server: Server) -> None:
    server.desk.finish()
    for trouble, status in (
        (EditConflict("somebody else changed it"), 409),
        (StorageUnavailable("no answer from the storage"), 503),
        (NotFound("it was deleted meanwhile"), 404),
    ):
        server.desk.trouble = trouble
        found, _ = await server.patch({"published": False})
        assert found == status
