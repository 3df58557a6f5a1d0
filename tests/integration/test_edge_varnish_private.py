"""Private rooms through a real Varnish edge: who is let in, what an origin is asked, what nobody is told."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from aiohttp import web

from contracts.errors import Forbidden
from contracts.listen import ListenKeys, listen_key
from tests.edge_stage import StandIn, edge_before, fetch, stand_in, until, varnish_counter
from tests.edges import Edge
from tests.origins import Answer

pytestmark = [
    pytest.mark.needs("varnishd", "vmod_digest"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
# Key ids may hold what separates the parts of a token.
OLD = ListenKeys({"2025.q4": listen_key(b"of last year")})
NEW = ListenKeys({"2026.q1": listen_key(b"of this year")})
FOREIGN = ListenKeys({"2026.q1": listen_key(b"somebody else's")})
BOTH = (*NEW.by_kid.items(), *OLD.by_kid.items())
PLAYLIST = "/live/closed/20260101T000000Z-abc234/64k/index.m3u8"


@dataclass
class Doors:
    """An edge with keys, and the stand-in behind it."""

    edge: Edge
    origin: StandIn

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return await fetch(self.edge.url + path, method, **headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(stand_in())
        directory = tmp_path_factory.mktemp("edge")
        edge = await stack.enter_async_context(edge_before("varnish", [origin.url], directory, keys=BOTH))
        yield Doors(edge, origin)


@pytest_asyncio.fixture(loop_scope="module")
async def doors(all_doors: Doors) -> Doors:
    all_doors.origin.asked.clear()
    all_doors.origin.answers.clear()
    return all_doors


def soon() -> int:
    return int(time.time()) + 600


def signed(path: str, room: str = "closed", keys: ListenKeys = NEW, expires: int | None = None) -> str:
    return f"/p/{keys.sign(room, soon() if expires is None else expires)}{path}"


def names_of(test: str) -> str:
    """An address that no other test has."""
    return f"/live/closed/{test}/64k/1.m4s"


async def test_a_good_token_is_passed_on_and_what_it_brought_is_kept_for_all_tokens(doors: Doors) -> None:
    path = names_of("kept")
    first, second = signed(path), signed(path, keys=OLD, expires=soon() + 60)
    doors.origin.says(first, "sound", Cache_Control="public, max-age=31536000, immutable", ETag='"1"')
    answers = [await doors.get(address) for address in (first, second, first)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"sound")}
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"no-referrer"}
    assert doors.origin.paths() == [first]
    assert not [name for name in doors.origin.asked[0].headers if name.lower().startswith("x-")]


async def test_without_a_token_nothing_private_is_found_and_no_answer_is_mistaken_for_the_other(
    doors: Doors,
) -> None:
    for path in (names_of("either"), PLAYLIST):
        doors.origin.says(signed(path, expires=4_000_000_000), "secret", Cache_Control="public, max-age=60")
        doors.origin.says(path, "not here", 404, Cache_Control="public, max-age=1")
        assert (await doors.get(signed(path, expires=4_000_000_000))).body == b"secret"
        assert (await doors.get(path)).status == 404
        # Nor the other way round: the refusal of the one is no answer to the other.
        assert (await doors.get(signed(path, expires=4_000_000_000))).body == b"secret"


@pytest.mark.parametrize(
    "token",
    [
        NEW.sign("other", 4_000_000_000),
        FOREIGN.sign("closed", 4_000_000_000),
        NEW.sign("closed", 4_000_000_000).replace(".4", ".5"),
        NEW.sign("closed", 1_700_000_000),
        "2024." + NEW.sign("closed", 4_000_000_000),
        NEW.sign("closed", 4_000_000_000).upper(),
        NEW.sign("closed", 4_000_000_000)[:-1],
        NEW.sign("closed", 4_000_000_000) + "0",
        "x",
    ],
)
async def test_a_token_that_is_not_good_is_refused_here_in_the_words_of_the_origin(
    doors: Doors, token: str
) -> None:
    with pytest.raises(Forbidden) as refusal:
        ListenKeys(dict(BOTH)).check(token, "closed", time.time())
    refused = await doors.get(f"/p/{token}{PLAYLIST}")
    assert (refused.status, refused.error) == (403, refusal.value.message)
    assert refused.headers["Cache-Control"] == "no-store"
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    assert refused.headers["Referrer-Policy"] == "no-referrer"
    assert token not in refused.text
    assert doors.origin.asked == []


async def test_a_token_is_good_to_the_end_of_its_last_second(doors: Doors) -> None:
    path = names_of("last-second")
    for _ in range(20):
        await asyncio.sleep((0.6 - time.time()) % 1)
        expires = int(time.time()) + 1
        address = signed(path, expires=expires)
        doors.origin.says(address, "sound", Cache_Control="public, max-age=60")
        answer = await doors.get(address)
        if time.time() < expires:
            assert (answer.status, answer.body) == (200, b"sound")
            return
    pytest.fail("this machine takes half a second for a request, each time")


@pytest.mark.parametrize(
    "path",
    [
        "/live/closed/index.m3u8",
        "/live/closed/20260101T000000Z-abc234/64k/2.1.m4s",
        "/replay/closed/20260101T000000Z-abc234.m4a",
        "/replay/closed/20260101T000000Z-abc234",
        "/replay/closed/20260101T000000Z-abc234/64k/0.mp4",
        "/listen/closed",
        "/listen/closed.json",
        "/feeds/closed.xml",
    ],
)
async def test_every_public_path_of_a_room_may_be_signed(doors: Doors, path: str) -> None:
    address = signed(path)
    doors.origin.says(address, "here")
    assert (await doors.get(address)).body == b"here"
    assert doors.origin.paths() == [address]
    assert (await doors.get(signed(path, room="other"))).status == 403


@pytest.mark.parametrize(
    "path", ["/", "/rooms.json", "/metrics", "/publish/closed", "/rooms/closed", "/live/", "", "/p/x"]
)
async def test_nothing_else_may_be_signed(doors: Doors, path: str) -> None:
    assert (await doors.get(signed(path))).status in {403, 404}
    assert (await doors.get(signed(f"/live/closed/..{path}"))).status in {403, 404}
    assert doors.origin.asked == []


async def test_a_crowd_with_tokens_of_its_own_is_one_request(doors: Doors) -> None:
    path = names_of("crowd")
    asked = asyncio.Event()
    released = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        asked.set()
        await released.wait()
        return web.Response(text="sound", headers={"Cache-Control": "public, max-age=60"})

    addresses = [signed(path, expires=soon() + number) for number in range(100)]
    for address in addresses:
        doors.origin.answers[address] = wait
    before = varnish_counter(doors.edge, "MAIN.busy_sleep")
    tasks = [asyncio.create_task(doors.get(address)) for address in addresses]
    await asked.wait()
    await until(lambda: varnish_counter(doors.edge, "MAIN.busy_sleep") - before >= 99, "all but one wait")
    released.set()
    assert {(answer.status, answer.body) for answer in await asyncio.gather(*tasks)} == {(200, b"sound")}
    assert len(doors.origin.asked) == 1


async def test_a_token_that_the_origin_refuses_is_no_refusal_of_those_who_wait_with_another(
    doors: Doors,
) -> None:
    path = names_of("refused")
    released = asyncio.Event()
    bad, good = signed(path, keys=OLD), signed(path)

    async def refuse(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response(status=403, headers={"Cache-Control": "no-store"})

    doors.origin.answers[bad] = refuse
    doors.origin.says(good, "sound", Cache_Control="public, max-age=60")
    before = varnish_counter(doors.edge, "MAIN.busy_sleep")
    refused = asyncio.create_task(doors.get(bad))
    await until(lambda: doors.origin.asked, "the bad one is first")
    others = [asyncio.create_task(doors.get(good)) for _ in range(20)]
    await until(lambda: varnish_counter(doors.edge, "MAIN.busy_sleep") - before >= 20, "the others wait")
    released.set()
    assert {answer.status for answer in await asyncio.gather(*others)} == {200}
    assert (await refused).status == 503
    assert doors.origin.paths() == [bad, good]


async def test_a_feed_that_holds_its_token_is_kept_for_nobody(doors: Doors) -> None:
    first, second = signed("/feeds/closed.xml"), signed("/feeds/closed.xml", expires=soon() + 60)
    for address in (first, second):
        doors.origin.says(address, address, Cache_Control="private, no-store")
    for address in (first, second, first):
        assert (await doors.get(address)).text == address
    assert doors.origin.paths() == [first, second, first]


async def test_fields_of_ours_in_a_request_open_nothing(doors: Doors) -> None:
    path = names_of("fields")
    token = NEW.sign("closed", soon())
    doors.origin.says(f"/p/{token}{path}", "secret", Cache_Control="public, max-age=60")
    assert (await doors.get(f"/p/{token}{path}")).body == b"secret"
    spoofed = await doors.get(path, x_lw_token=token, x_lw_room="closed", x_lw_mac="0x" + token[-64:])
    assert spoofed.status == 404
    assert doors.origin.paths()[-1] == path


async def test_keys_are_exchanged_without_losing_what_is_kept(doors: Doors) -> None:
    path = names_of("exchanged")
    next_year = ListenKeys({"2027.q1": listen_key(b"of next year")})
    before, after = signed(path), signed(path, keys=next_year)
    doors.origin.says(before, "sound", Cache_Control="public, max-age=3600")
    assert (await doors.get(before)).status == 200
    assert (await doors.get(after)).status == 403
    try:
        await asyncio.to_thread(doors.edge.reload, tuple(next_year.by_kid.items()))
        assert (await doors.get(after)).body == b"sound"
        assert (await doors.get(before)).status == 403
        assert doors.origin.paths() == [before]
        # What cannot be read changes nothing.
        (doors.edge.directory.parent / "keys").write_text("nonsense\n")
        doors.edge.hang_up()
        await until(lambda: "edge goes on as before" in doors.edge.log, "it says that it cannot")
        assert (await doors.get(after)).status == 200
    finally:
        await asyncio.to_thread(doors.edge.reload, BOTH)
    assert (await doors.get(before)).status == 200


async def test_tokens_stand_in_no_log_and_reach_nobody_by_other_ways(doors: Doors) -> None:
    secret = NEW.sign("closed", soon() + 999)
    address = f"/p/{secret}{PLAYLIST}?_HLS_msn=3&_HLS_part=1"
    doors.origin.says(address, "text", Cache_Control="public, max-age=12")
    await doors.get(address)
    await doors.get(address, Referer=f"https://x.example/p/{secret}/", Authorization=f"Bearer {secret}")
    await doors.get(names_of("referred"), Referer=f"https://x.example/p/{secret}/")
    await doors.get(f"/p/{secret}/nothing", "POST", Cookie=f"t={secret}", x_lw_token=secret)
    await doors.get(f"/p/{secret}0{PLAYLIST}")
    raw = f"GET /p/{secret} x y HTTP/1.1\r\nnonsense {secret}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.edge.port)
    writer.write(raw.encode())
    await reader.read()
    writer.close()
    mac = secret[-64:]
    directory = str(doors.edge.working_directory)
    counting = ["varnishncsa", "-d", "-n", directory, "-q", "VCL_Log:lw1", "-F", "lw1 %{VCL_Log:lw1}x"]
    lines = await told(*counting)
    seen = [line for line in lines.splitlines() if "_HLS_msn=3&_HLS_part=1" in line]
    assert seen == [
        f"lw1 200 miss blocking_playlist {PLAYLIST}?_HLS_msn=3&_HLS_part=1",
        f"lw1 200 hit blocking_playlist {PLAYLIST}?_HLS_msn=3&_HLS_part=1",
    ]
    everything = await told("varnishlog", "-d", "-g", "raw", "-n", directory)
    assert "VCL_Log" in everything
    for text in (lines, everything, await told("varnishncsa", "-d", "-n", directory), doors.edge.log):
        assert mac not in text
    others = [one for one in doors.origin.asked if one.path == names_of("referred")]
    assert [mac in str(one.headers) for one in others] == [False]
    assert "Authorization" not in doors.origin.asked[0].headers


async def told(*command: str) -> str:
    """What a program says."""
    said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    return said.stdout
