"""What an nginx edge alone promises: refusals that nginx would word itself, and who takes what there is."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from infra.edge.nginx.edge import Nginx
from infra.edge.options import Address, EdgeOptions
from tests.edge_stage import Stage, asked, raw, real_stage, until

pytestmark = [
    pytest.mark.needs("nginx", "njs"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with real_stage("nginx", tmp_path_factory.mktemp("edge")) as stage:
        yield stage


@pytest.mark.parametrize(
    "head",
    [
        "GET /%00 HTTP/1.1\r\nHost: x\r\n",
        "GET /%zz HTTP/1.1\r\nHost: x\r\n",
        "GET /.. HTTP/1.1\r\nHost: x\r\n",
        "GET room HTTP/1.1\r\nHost: x\r\n",
        "get / HTTP/1.1\r\nHost: x\r\n",
        "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n",
        "GET / HTTP/3.0\r\nHost: x\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: x y\r\n",
    ],
    ids=lambda head: head[:20],
)
async def test_what_is_no_request_is_told_so_to_every_page(stage: Stage, head: str) -> None:
    refused(await raw(stage.edge.port, head), "this is not an HTTP request")


@pytest.mark.parametrize(
    "head",
    [
        f"GET /{'a' * 9_000} HTTP/1.1\r\nHost: x\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nX-Much: {'a' * 9_000}\r\n",
    ],
    ids=["address", "field"],
)
async def test_what_is_too_long_is_told_so_to_every_page(stage: Stage, head: str) -> None:
    refused(await raw(stage.edge.port, head), "this request is too long")


def refused(answer: bytes, words: str) -> None:
    """As origins refuse: one line of JSON, for every page, which a crowd may share."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nAccess-Control-Allow-Origin: *" in head
    assert b"\r\nCache-Control: public, max-age=1" in head
    assert body == f'{{"error": "{words}"}}\n'.encode()


async def test_what_an_origin_has_not_got_is_told_apart_from_what_nobody_has(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    there = "nothing is at this address, or not any more"
    for path, words in ((f"{through.line()}/77.m4s", there), ("/nothing", "nothing lives at this address")):
        for _ in range(2):
            answer = await through.get(path)
            assert (answer.status, answer.error) == (404, words)
    for _ in range(2):
        answer = await through.playlist("?_HLS_part=1")
        assert answer.error == "no sense can be made of this address: see its ids and delivery directives"
    assert (await direct.playlist("?_HLS_part=1")).status == answer.status == 400


@pytest.mark.parametrize("field", ['If-Match: "x"', "If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT"])
async def test_a_condition_that_fails_is_told_to_every_page(stage: Stage, field: str) -> None:
    answer = await raw(stage.edge.port, f"GET /rooms.json HTTP/1.1\r\nHost: x\r\n{field}\r\n")
    assert answer.startswith(b"HTTP/1.1 412 ")
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
    assert b'{"error": ' in answer


@pytest.mark.parametrize("path", ["/live/room/index.m3u8/", "/p/token/metrics"])
async def test_names_that_are_nearly_those_of_the_public_table_do_not_pass(stage: Stage, path: str) -> None:
    before = asked(stage.origins[0], "other", "multivariant", "playlist")
    answer = await raw(stage.edge.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
    assert asked(stage.origins[0], "other", "multivariant", "playlist") == before


async def test_who_takes_whatever_there_is_gets_gzip(stage: Stage) -> None:
    _, through = await stage.take((3, 2))
    answer = await through.get("index.m3u8?_HLS_msn=2", Accept_Encoding="*")
    assert answer.headers["Content-Encoding"] == "gzip"


async def test_what_nginx_refuses_at_a_reload_is_not_said_to_be_taken_up(stage: Stage) -> None:
    edge, refused = stage.edge, 'edge goes on as before: nginx: unknown directive "nonsense" in '
    configuration = edge.directory / "edge.conf"
    text = configuration.read_text()
    try:
        configuration.write_text(f"{text}nonsense;\n")
        edge.hang_up()
        await until(lambda: refused in edge.log, "it says why")
    finally:
        configuration.write_text(text)
    assert "edge has taken up its options again" not in edge.log
    assert (await raw(edge.port, "GET /rooms.json HTTP/1.1\r\nHost: x\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_an_edge_that_starts_has_nothing_of_the_one_before_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("e")
    left = [directory / name for name in ("cache/playlists/0", "cache/media/0", "cache/purged/0")]
    others = directory / "cache/others"
    for path in (*left, others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    here = Address("127.0.0.1", 1)
    Nginx().children(EdgeOptions(listen=here, origins=(here,), directory=directory, name="e"))
    assert [path for path in left if path.exists()] == []
    assert others.exists()
    assert (directory / "cache/purged").is_dir()


async def test_connections_and_what_is_kept_open_share_the_files_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = EdgeOptions(Address("127.0.0.1", 0), (Address("127.0.0.1", 1),), tmp_path, "small")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 1_024))
    Nginx().children(options)
    rendered = "".join((tmp_path / "rendered" / name).read_text() for name in ("main.conf", "files.conf"))
    assert "worker_connections 768;" in rendered
    assert "open_file_cache max=128 " in rendered
