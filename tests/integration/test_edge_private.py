"""Private rooms through real edges: who is let in, what an origin is asked, what stands in no log."""

from __future__ import annotations

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
from tests.edge_stage import PROGRAMS, StandIn, edge_before, fetch, stand_in, until
from tests.edge_waiting import Inside, all_inside
from tests.edges import Edge
from tests.origins import Answer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
# Key ids may hold what separates the parts of a token; two of them may differ in case alone.
OLD = ListenKeys({"2025.q4": listen_key(b"of last year")})
NEW = ListenKeys({"2026.q1": listen_key(b"of this year"), "2026.Q1": listen_key(b"another")})
FOREIGN = ListenKeys({"2026.q1": listen_key(b"somebody else's")})
BOTH = (*NEW.by_kid.items(), *OLD.by_kid.items())
FAR = 4_000_000_000
GOOD = NEW.sign("closed", FAR)
PLAYLIST = "/live/closed/20260101T000000Z-abc234/64k/index.m3u8"


@dataclass
class Doors:
    """An edge with keys, and the stand-in behind it."""

    edge: Edge
    origin: StandIn

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return await fetch(self.edge.url + path, method, **headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROGRAMS)
async def all_doors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(stand_in())
        directory = tmp_path_factory.mktemp("edge")
        edge = await stack.enter_async_context(edge_before(request.param, [origin.url], directory, keys=BOTH))
        yield Doors(edge, origin)


@pytest_asyncio.fixture(loop_scope="module")
async def doors(all_doors: Doors) -> Doors:
    all_doors.origin.asked.clear()
    all_doors.origin.answers.clear()
    return all_doors


def signed(path: str, room: str = "closed", keys: ListenKeys = NEW, expires: int = FAR) -> str:
    return f"/p/{keys.sign(room, expires)}{path}"


def piece(number: int) -> str:
    """An address that no other test has."""
    return f"/live/closed/20260101T000000Z-abc234/64k/{number}.m4s"


async def test_a_good_token_is_passed_on_and_what_it_brought_is_kept_for_all_tokens(doors: Doors) -> None:
    first, second = signed(piece(1)), signed(piece(1), keys=OLD, expires=FAR + 60)
    # An origin says no-referrer; Varnish says it whatever the origin does.
    policy = {"nginx": {"Referrer-Policy": "no-referrer"}, "varnish": {}}[doors.edge.program]
    kept = "public, max-age=31536000, immutable"
    doors.origin.says(first, "sound", fields=policy, Cache_Control=kept, ETag='"1"')
    answers = [await doors.get(address) for address in (first, second, first)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"sound")}
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"no-referrer"}
    assert doors.origin.paths() == [first]
    assert doors.origin.asked[0].headers["CDN-Loop"] == "longwave-edge"
    assert not [name for name in doors.origin.asked[0].headers if name.lower().startswith("x-")]


@pytest.mark.parametrize("path", [piece(2), f"{PLAYLIST}?_HLS_msn=2"])
async def test_without_a_token_nothing_private_is_found_and_no_answer_is_mistaken_for_the_other(
    doors: Doors, path: str
) -> None:
    doors.origin.says(signed(path), "secret", Cache_Control="public, max-age=60")
    doors.origin.says(path, "not here", 404, Cache_Control="public, max-age=1")
    assert (await doors.get(signed(path))).body == b"secret"
    assert (await doors.get(path)).status == 404
    # Nor the other way round: the refusal of the one is no answer to the other.
    assert (await doors.get(signed(path))).body == b"secret"
    assert doors.origin.paths() == [signed(path), path]


@pytest.mark.parametrize(
    "token",
    [
        NEW.sign("other", FAR),
        FOREIGN.sign("closed", FAR),
        GOOD.replace("q1", "Q1"),
        GOOD.replace(".4", ".5"),
        NEW.sign("closed", 1_700_000_000),
        f"2024.{GOOD}",
        f"constructor.{GOOD[8:]}",
        GOOD.upper(),
        GOOD[:-1],
        f"{GOOD}0",
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


async def test_a_token_is_good_to_the_end_of_its_last_second_and_no_longer(doors: Doors) -> None:
    for _ in range(20):
        await asyncio.sleep((0.6 - time.time()) % 1)
        expires = int(time.time()) + 1
        address = signed(piece(3), expires=expires)
        doors.origin.says(address, "sound", Cache_Control="public, max-age=3600")
        answer = await doors.get(address)
        if time.time() < expires:
            break
    else:
        pytest.fail("this machine takes half a second for a request, each time")
    assert (answer.status, answer.body) == (200, b"sound")
    await asyncio.sleep(expires - time.time() + 0.05)
    assert (await doors.get(address)).status == 403


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
    assert (await doors.get(signed(f"/live/closed/%2e%2e{path}"))).status in {403, 404}
    assert doors.origin.asked == []


@pytest.mark.parametrize("token", ["x", NEW.sign("other", FAR), NEW.sign("closed", 1_700_000_000)])
async def test_a_preflight_needs_no_token_that_is_good(doors: Doors, token: str) -> None:
    address = f"/p/{token}{PLAYLIST}"
    assert (await doors.get(address)).status == 403
    answer = await doors.get(address, "OPTIONS", Origin="https://player.example")
    assert (answer.status, answer.body) == (204, b"")
    fields = ("Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Access-Control-Max-Age")
    assert [answer.headers[field] for field in fields] == ["*", "*", "86400"]
    assert doors.origin.asked == []


async def test_a_crowd_with_tokens_of_its_own_is_one_request(doors: Doors) -> None:
    released = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response(text="sound", headers={"Cache-Control": "public, max-age=60"})

    addresses = [signed(piece(4), expires=FAR + number) for number in range(100)]
    doors.origin.answers |= dict.fromkeys(addresses, wait)
    tasks = await all_inside(doors.edge, map(doors.get, addresses))
    released.set()
    assert {(answer.status, answer.body) for answer in await asyncio.gather(*tasks)} == {(200, b"sound")}
    assert len(doors.origin.asked) == 1


async def test_a_token_that_the_origin_refuses_is_no_refusal_of_those_who_wait_with_another(
    doors: Doors,
) -> None:
    released = asyncio.Event()
    bad, good = signed(piece(5), keys=OLD), signed(piece(5))

    async def refuse(_: web.Request) -> web.Response:
        await released.wait()
        body = '{"error": "this address lets nobody in"}\n'
        return web.Response(text=body, status=403, headers={"Cache-Control": "no-store"})

    doors.origin.answers[bad] = refuse
    doors.origin.says(good, "sound", Cache_Control="public, max-age=60")
    inside = Inside(doors.edge)
    refused = asyncio.create_task(doors.get(bad))
    await until(lambda: doors.origin.asked, "the bad one is first")
    others = [asyncio.create_task(doors.get(good)) for _ in range(20)]
    await inside.are(21)
    released.set()
    assert {answer.status for answer in await asyncio.gather(*others)} == {200}
    assert (await refused).status == 403
    assert (await refused).error.startswith("this address lets nobody in")
    assert (await refused).headers["Cache-Control"] == "no-store"
    assert doors.origin.paths() == [bad, good]


async def test_a_feed_that_holds_its_token_is_kept_for_nobody(doors: Doors) -> None:
    first, second = signed("/feeds/closed.xml"), signed("/feeds/closed.xml", expires=FAR + 60)
    for address in (first, second):
        doors.origin.says(address, address, Cache_Control="private, no-store")
    # Whatever an origin says of them.
    third = signed("/feeds/closed.xml", expires=FAR + 120)
    doors.origin.says(third, third, Cache_Control="public, max-age=60")
    for address in (third, first, second, first):
        assert (await doors.get(address)).text == address
    assert doors.origin.paths() == [third, first, second, first]


async def test_fields_of_ours_in_a_request_open_nothing(doors: Doors) -> None:
    doors.origin.says(signed(piece(9)), "secret", Cache_Control="public, max-age=60")
    assert (await doors.get(signed(piece(9)))).body == b"secret"
    # As the programs call them among themselves.
    fields = {
        "token": GOOD,
        "room": "closed",
        "mac": f"0x{GOOD[-64:]}",
        "prefix": f"/p/{GOOD}",
        "path": piece(9),
    }
    for mark in ("x_lw_", "listen_", "X_Listen_"):
        spoofed = await doors.get(piece(9), **{mark + name: value for name, value in fields.items()})
        assert spoofed.status == 404
    assert set(doors.origin.paths()[1:]) == {piece(9)}


async def test_keys_are_exchanged_without_losing_what_is_kept(doors: Doors) -> None:
    next_year = ListenKeys({"2027.q1": listen_key(b"of next year")})
    before, after = signed(piece(6)), signed(piece(6), keys=next_year)
    doors.origin.says(before, "sound", Cache_Control="public, max-age=3600")
    assert (await doors.get(before)).status == 200
    assert (await doors.get(after)).status == 403
    try:
        await asyncio.to_thread(doors.edge.reload, tuple(next_year.by_kid.items()))
        assert (await from_now_on(doors, after, 200)).body == b"sound"
        await from_now_on(doors, before, 403)
        assert doors.origin.paths() == [before]
        # What cannot be read changes nothing.
        (doors.edge.directory.parent / "keys").write_text("nonsense\n")
        doors.edge.hang_up()
        await until(lambda: "edge goes on as before" in doors.edge.log, "it says that it cannot")
        assert (await doors.get(after)).status == 200
    finally:
        await asyncio.to_thread(doors.edge.reload, BOTH)
    await from_now_on(doors, before, 200)


async def from_now_on(doors: Doors, address: str, status: int) -> Answer:
    """Five in a row: nginx's workers with the old keys answer until those with the new ones are there."""
    seen = 0
    async with asyncio.timeout(20):
        while True:
            answer = await doors.get(address)
            seen = seen + 1 if answer.status == status else 0
            if seen == 5:
                return answer
            await asyncio.sleep(0.02)


async def test_tokens_stand_in_no_log_and_no_file_and_reach_nobody_by_other_ways(doors: Doors) -> None:
    secret = NEW.sign("closed", FAR + 999)
    mac = secret[-64:]
    address = f"/p/{secret}{PLAYLIST}?_HLS_msn=3&_HLS_part=1"
    doors.origin.says(address, "text", Cache_Control="public, max-age=12")
    assert (await doors.get(address)).status == 200
    await doors.get(address, Referer=f"https://x.example/p/{secret}/", Authorization=f"Bearer {secret}")
    await doors.get(piece(7), Referer=f"https://x.example/p/{secret}/", Cookie=f"t={secret}")
    await doors.get(f"/p/{secret}/nothing", "POST", Cookie=f"t={secret}", x_lw_token=secret)
    await doors.get(f"/p/{secret}0{PLAYLIST}")
    broken = signed(piece(8), expires=FAR + 999)

    async def fail(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    doors.origin.answers[broken] = fail
    assert (await doors.get(broken)).status == 503
    for line in (f"GET /p/{secret} x y HTTP/1.1", f"GET /p/{secret}/live/%zz HTTP/1.1", f"/p/{secret}"):
        await nonsense(doors.edge.port, f"{line}\r\nnonsense {secret}\r\n\r\n")
    for text in (doors.edge.log, *await asyncio.to_thread(recorded, doors.edge)):
        assert mac not in text
    others = [one for one in doors.origin.asked if one.path == piece(7)]
    assert [mac in str(one.headers) for one in others] == [False]
    assert "Authorization" not in doors.origin.asked[0].headers


def recorded(edge: Edge) -> list[str]:
    """Everything that an edge keeps or logs. Varnish's log is in memory, and written nowhere."""
    if edge.program == "nginx":
        return [path.read_text(errors="replace") for path in edge.directory.rglob("*") if path.is_file()]
    directory = str(edge.working_directory)
    playlists = ("-q", "VCL_Log:lw1", "-F", "lw1 %{VCL_Log:lw1}x")
    options = (("varnishlog", "-g", "raw"), ("varnishncsa",), ("varnishncsa", *playlists))
    said = [
        subprocess.run(
            [name, "-d", "-n", directory, *more], capture_output=True, text=True, check=True
        ).stdout
        for name, *more in options
    ]
    assert "VCL_Log" in said[0]
    line = f"blocking_playlist {PLAYLIST}?_HLS_msn=3&_HLS_part=1"
    # Each thread writes its own when it has time for it.
    assert sorted(one for one in said[2].splitlines() if line in one) == [
        f"lw1 200 hit {line}",
        f"lw1 200 miss {line}",
    ]
    return said


async def nonsense(port: int, text: str) -> None:
    """Say something that is no request, and hear it out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    await reader.read()
    writer.close()
    await writer.wait_closed()
