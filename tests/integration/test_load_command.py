"""`longwave load` as it is typed: processes, Ctrl-C, private rooms, certificates."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from contracts.errors import DependencyError, UsageError
from longwave.load import invitation as invitations
from longwave.load.base import Base
from longwave.load.crowd import Target
from longwave.load.http_client import Answer, Dialer
from longwave.load.invitation import Invitation
from longwave.load.lane import Lane, Request, Wire
from longwave.load.plan import LoadOptions
from longwave.load.probe import find, target_of
from longwave.load.tally import Tally
from longwave.load.tls import client_context
from tests.crowds import on_air
from tests.origins import ROOM, running, settings
from tests.replay_site import KEYS, bearer
from tests.waiting import until

_SOON = 3600


async def load(*args: str) -> Process:
    argv = [sys.executable, "-m", "longwave", "load", *args]
    return await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)


async def said(process: Process, words: str) -> list[str]:
    """The lines of stderr up to the first with `words` in it."""
    assert process.stderr is not None
    lines: list[str] = []
    while not lines or words not in lines[-1]:
        line = await process.stderr.readline()
        assert line, lines
        lines.append(line.decode())
    return lines


async def test_ctrl_c_ends_it_with_the_report_so_far_of_all_processes() -> None:
    private = replace(settings(), private=True)
    async with running(private, keys=KEYS) as room:
        room.session.headers.update(bearer("publish", None))
        async with on_air(room):
            token = KEYS.listen.sign(ROOM, int(time.time()) + _SOON)
            args = [f"{room.url}/listen/{ROOM}", "--listeners", "6", "--arrive", "20", "--token", token]
            process = await load(*args, "--low-latency", "--processes", "2")
            lines = await said(process, "tuned in 6;")
            process.send_signal(signal.SIGINT)
            out, more = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, more
    assert lines[0].startswith("6 low-latency listeners of ")
    result = json.loads(out)
    assert not result["complete"]
    assert result["seconds"] < 50
    assert result["plan"]["processes"] == 2
    assert result["listeners"]["arrived"] == result["listeners"]["tuned_in"] == 6
    assert result["requests"]["multivariant"] == {"200": 6}
    assert result["errors"] == {}
    assert sum(server["requests"] for server in result["servers"].values()) == sum(
        count for kind in result["requests"].values() for count in kind.values()
    )
    words = out.decode() + more.decode() + "".join(lines)
    assert token not in words
    assert "/p/" not in words


async def test_it_runs_for_as_long_as_it_was_told_and_writes_a_file(tmp_path: Path) -> None:
    async with running() as room, on_air(room):
        file = tmp_path / "result.json"
        args = [f"{room.url}/live/{ROOM}/index.m3u8", "--listeners", "3", "--arrive", "30", "--for", "1.5"]
        process = await load(*args, "--stay", "0.5", "--json", str(file))
        out, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (0, b""), errors
    result = json.loads(file.read_text())
    assert result["complete"]
    assert result["seconds"] == pytest.approx(1.5, abs=1)
    assert result["listeners"]["arrived"] == result["listeners"]["left"] == 3


async def test_a_file_that_cannot_be_written_is_told_before_anything_begins(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "no/where.json", "No such file")):
        process = await load("http://127.0.0.1:9/listen/room", "--listeners", "1", "--json", str(path))
        out, errors = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, out) == (2, b"")
        assert errors.decode().startswith(f"longwave: --json {path} cannot be written: {why}")


async def test_a_room_that_is_not_there_is_one_error_before_anything_begins() -> None:
    async with running() as room:
        for url, words in ((room.url, "answers 404: is the room live"), ("http://127.0.0.1:9", "no answer")):
            options = LoadOptions(f"{url}/listen/{ROOM}", 1)
            with pytest.raises(DependencyError, match=words):
                await find(options, *target_of(options))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "no answer that is HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"#" * (33 * 2**20), "more than 32 MB"),
    ],
)
async def test_an_answer_without_sense_is_one_error_without_the_path(answer: bytes, words: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        options = LoadOptions(f"http://127.0.0.1:{port}/p/secret/live/{ROOM}/index.m3u8", 1)
        with pytest.raises(DependencyError, match=words) as raised:
            await find(options, *target_of(options))
    assert "secret" not in str(raised.value)


async def test_low_latency_is_not_asked_of_a_playlist_without_parts() -> None:
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.m4s\n"
    app = web.Application()

    async def playlist(_: web.Request) -> web.Response:
        return web.Response(text=text)

    async def media(_: web.Request) -> web.Response:
        return web.Response(text="media")

    app.router.add_get("/index.m3u8", playlist)
    app.router.add_get("/1.m4s", media)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/index.m3u8"
    try:
        options = LoadOptions(url, 1)
        found = await find(options, *target_of(options))
        options = LoadOptions(url, 1, low_latency=True)
        with pytest.raises(UsageError, match="no parts"):
            await find(options, *target_of(options))
    finally:
        await runner.cleanup()
    assert found.target.is_media
    assert (found.segment_seconds, found.segment_bytes, found.playlist_bytes) == (2.0, 5, len(text))


# ---- private rooms ----------------------------------------------------------------------------------------


async def test_an_invitation_is_exchanged_and_renewed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "_RETRY_SECONDS", 0.02)
    given: list[str | None] = []

    async def exchange(request: web.Request) -> web.Response:
        given.append(request.headers.get("Authorization"))
        body: dict[str, Any] = {"path": f"/p/k.{len(given)}.x", "expires": int(time.time())}
        return web.json_response(body, status=201 if len(given) != 2 else 503)

    app = web.Application()
    app.router.add_post("/rooms/room/listen-token", exchange)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        base = Base("http", "127.0.0.1", runner.addresses[0][1])
        options = LoadOptions(f"{base}/listen/room", 1, token="a.b.c")
        told: list[bytes] = []
        async with Invitation(options, Target(base, b"/live/room/index.m3u8"), b"") as invitation:
            assert invitation.prefix == b"/p/k.1.x"
            renewing = asyncio.create_task(invitation.renew(told.append))
            await until(lambda: bool(told))
            renewing.cancel()
    finally:
        await runner.cleanup()
    # The second was refused: the old one stays, and it is asked again.
    assert told == [b"/p/k.3.x"]
    assert given == ["Bearer a.b.c"] * 3


async def test_an_invitation_that_nobody_takes_is_an_error_without_it() -> None:
    options = LoadOptions("http://127.0.0.1:9/listen/room", 1, token="a.b.c")
    target = Target(Base("http", "127.0.0.1", 9), b"/live/room/index.m3u8")
    with pytest.raises(DependencyError) as refused:
        async with Invitation(options, target, b""):
            pass
    assert "a.b.c" not in refused.value.message


# ---- certificates -----------------------------------------------------------------------------------------


class Asker:
    def __init__(self) -> None:
        self.heard: list[int | str] = []

    def done(self, request: Request, answer: Answer, now: float) -> None:
        self.heard.append(answer.status)

    def lost(self, request: Request, reason: str, now: float) -> None:
        self.heard.append(reason)


async def test_https_is_checked_and_what_is_not_trusted_is_an_error(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, ca = authority.issue_cert("127.0.0.1"), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server).start()
    base = Base("https", "127.0.0.1", runner.addresses[0][1])
    heard = []
    for trusted in (ca, None):
        asker, dialer = Asker(), Dialer(client_context(trusted))
        lane = Lane(Wire(time.monotonic, dialer, Tally(), {}, {}), asker)
        lane.ask(Request("playlist", base, b"/none", time.monotonic()))
        await until(lambda asker=asker: bool(asker.heard))  # type: ignore[misc]
        heard += asker.heard
        lane.close()
        await dialer.close()
    await runner.cleanup()
    assert heard == [404, "TLS"]
