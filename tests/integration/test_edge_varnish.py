"""What a Varnish edge alone promises of live takes: a millisecond, two thousand at once, origins' words."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from benchmarks.crowd import Crowd
from tests.edge_stage import Stage, asked, raw, real_stage
from tests.edge_waiting import Inside
from tests.waiting import until

pytestmark = [
    pytest.mark.needs("varnishd", "varnishstat", "vmod_digest"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
PLAYLISTS = ("playlist", "blocking_playlist")
# All of them are there before the 6 s are over for which an origin waits, also on a machine that is busy.
CROWD = 800


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with real_stage("varnish", tmp_path_factory.mktemp("edge")) as stage:
        yield stage


@pytest.mark.parametrize(("name", "stop"), [("4.4.m4s", (5, 0)), ("5.m4s", (6, 0))])
async def test_media_that_was_asked_for_much_too_early_is_there_as_soon_as_it_comes(
    stage: Stage, name: str, stop: tuple[int, int]
) -> None:
    """Further ahead than an origin lets anybody wait: its refusal is over in a millisecond."""
    direct, through = await stage.take((3, 2))
    assert (await through.get(name)).status == 404
    await direct.feed((4, 4))
    waiting = asyncio.create_task(through.get(name))
    await until(lambda: direct.blocked == 1)
    await direct.feed(stop)
    answer = await waiting
    assert (answer.status, answer.body) == (200, (await direct.get(name)).body)


async def test_a_part_that_never_comes_is_asked_for_once_by_a_crowd(stage: Stage) -> None:
    """Its refusal is over in a millisecond, and long before the last of those who wait for it is awake."""
    direct, through = await stage.take((3, 2))
    before, inside = asked(direct, "part"), Inside(stage.edge)
    waiting = asyncio.create_task(
        asyncio.to_thread(storm, stage.edge.port, [f"{through.line()}/3.2.m4s"], CROWD)
    )
    await inside.are(CROWD)
    samples = 3 * 96_000 + 34 * 1024  # within 3.1: 3.2 never comes
    ended = await direct.request("POST", f"/publish/room/{direct.take}/end", json={"samples": samples})
    assert ended.status < 300, ended
    assert [(status, number) for (status, _), number in (await waiting).items()] == [(404, CROWD)]
    assert asked(direct, "part") - before == 1


async def test_a_cold_edge_under_two_thousand_first_requests_asks_once_for_each_thing(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    names = ("index.m3u8?_HLS_msn=3&_HLS_part=1", "init.mp4", "1.m4s", "2.m4s")
    kinds = (*PLAYLISTS, "init", "segment")
    before = asked(direct, *kinds)
    paths = [f"{through.line()}/{name}" for name in names]
    sizes = await asyncio.to_thread(storm, stage.edge.port, paths, 2_000)
    assert asked(direct, *kinds) - before == len(names)
    bodies = [await direct.get(path, Accept_Encoding="gzip") for path in paths]
    assert sizes == {(200, len(answer.body)): 500 for answer in bodies}


async def test_a_refusal_is_in_the_origins_words_and_kept_whatever_stands_beside_the_directives(
    stage: Stage,
) -> None:
    direct, through = await stage.take((3, 2))
    for query in ("_HLS_msn=2&_HLS_msn=2", "_HLS_msn=two", "_HLS_msn=", "_HLS_part=1", "_HLS_msn=77"):
        refused = await through.playlist(f"?{query}")
        assert (refused.status, refused.body) == (400, (await direct.playlist(f"?{query}")).body)
        before = asked(direct, *PLAYLISTS)
        assert (await through.playlist(f"?{query}&x=1")).status == 400
        assert asked(direct, *PLAYLISTS) == before


async def test_nothing_encoded_passes(stage: Stage) -> None:
    before = asked(stage.origins[0], "multivariant", "other")
    answer = await raw(stage.edge.port, "GET /live/%72oom/index.m3u8 HTTP/1.1\r\nHost: x\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b'\r\n\r\n{"error": "nothing lives at this address"}\n')
    assert asked(stage.origins[0], "multivariant", "other") == before


async def test_answers_of_its_own_name_the_server_that_an_origin_names(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    there, here = [await end.request("OPTIONS", "/rooms.json") for end in (direct, through)]
    assert here.headers["Server"] == there.headers["Server"]


async def test_without_tls_there_is_no_http_2(stage: Stage) -> None:
    """Each of its connections would hold a thread, and nothing could send them elsewhere."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.edge.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    assert await reader.read(9) == b""
    writer.close()
    await writer.wait_closed()


def storm(port: int, paths: list[str], size: int) -> dict[tuple[int, int], int]:
    """`size` connected listeners who all ask at one moment; how many got which status and length."""
    listeners = Crowd(port, size)
    try:
        for index in range(size):
            listeners.ask(index, paths[index % len(paths)])
        seen: dict[tuple[int, int], int] = {}
        whole = 0
        ended = threading.Event()
        timer = threading.Timer(60, ended.set)
        timer.start()
        while whole < size and not ended.is_set():
            for arrival in listeners.arrivals(0.5):
                whole += 1
                key = (arrival.status, arrival.length)
                seen[key] = seen.get(key, 0) + 1
        timer.cancel()
        return seen
    finally:
        listeners.close()
