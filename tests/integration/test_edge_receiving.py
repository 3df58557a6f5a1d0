"""Access lines that are sent to `longwave edge`, as CDNs stream them: whose are taken, and what of them."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from contracts.errors import DependencyError, UsageError
from longwave.edge import receiving
from longwave.edge.gathering import Gathering
from longwave.edge.receiving import Post, post_of, received
from longwave.settings import EdgeSettings, load_settings
from tests.edge_stage import fresh_take, stand_in
from tests.programs import path

SECRET = "a-secret-that-stands-in-lines"
HERE = (ip_network("127.0.0.1/32"),)
POST = Post("127.0.0.1", 0, HERE, SECRET.encode(), None)
LINE = "lw1 200 hit multivariant /live/room/index.m3u8"


async def moments() -> AsyncIterator[None]:
    """Now, and again and again."""
    while True:
        yield
        await asyncio.sleep(0.02)


class Site:
    """What was taken at `port`."""

    def __init__(self, port: int, gathering: Gathering) -> None:
        self.port = port
        self.gathering = gathering
        self.taken: Counter[bytes] = Counter()

    def has(self, line: str, times: int) -> bool:
        self.taken += self.gathering.take()
        return self.taken[line.encode()] == times

    async def receives(self, line: str, times: int) -> None:
        async with asyncio.timeout(20):
            async for _ in moments():
                if self.has(line, times):
                    return

    async def send(self, *pieces: bytes, tls: ssl.SSLContext | None = None) -> bytes:
        """Each by itself; what comes back before the other side, or this one, closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.write_eof() if tls is None else writer.close()
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def site(post: Post = POST) -> AsyncIterator[Site]:
    gathering = Gathering()
    async with received(post, gathering) as place:
        yield Site(int(place.rpartition(":")[2]), gathering)


async def test_lines_of_both_syslogs_are_taken_wherever_they_are_cut() -> None:
    old = f"<134>Nov 22 04:08:20 cache-fra1 longwave[7]: {SECRET} {LINE}\n".encode()
    new = f"<134>1 2026-11-22T04:08:20Z cache-fra1 longwave 7 - - {SECRET} {LINE}\r\n".encode()
    async with site() as here:
        await here.send(old + new + old)
        await here.receives(LINE, 3)
        for at in (1, 40, len(old) - 2, len(old) - 1, len(old) + 3):
            both = old + new
            await here.send(both[:at], both[at:])
        await here.receives(LINE, 13)
        assert here.gathering.dropped == 0


@pytest.mark.needs("logger")
async def test_the_systems_own_logger_is_understood() -> None:
    async with site() as here:
        for form in ("--rfc3164", "--rfc5424"):
            process = await asyncio.create_subprocess_exec(
                *(path("logger"), "-n", "127.0.0.1", "-P", str(here.port), "-T", form, f"{SECRET} {LINE}")
            )
            assert await process.wait() == 0
        await here.receives(LINE, 2)


async def test_lines_without_the_secret_are_not_believed(capsys: pytest.CaptureFixture[str]) -> None:
    async with site() as here:
        other = SECRET.replace("a", "b")
        for forged in (LINE, f" {LINE}", f"{other} {LINE}", f"{SECRET}x {LINE}", f"x{SECRET} {LINE}"):
            await here.send(f"<134>x: {forged}\n".encode())
        await here.send(f"{SECRET} {LINE}\n".encode())
        await here.receives(LINE, 1)
        assert here.taken == Counter({LINE.encode(): 1})
    assert capsys.readouterr().out.count("without the secret") == 1


async def test_who_is_not_named_is_not_heard(capsys: pytest.CaptureFixture[str]) -> None:
    async with site(replace(POST, senders=(ip_network("10.0.0.0/8"),))) as here:
        line = f"{SECRET} {LINE}\n".encode()
        for _ in range(3):
            with pytest.raises((ConnectionError, AssertionError)):
                assert await asyncio.wait_for(here.send(line, line), 10) is None
        assert here.gathering.take() == Counter()
    assert capsys.readouterr().out.count("are not taken") == 1


async def test_garbage_and_floods_cost_nothing_but_themselves() -> None:
    async with site() as here:
        true = f"{SECRET} {LINE}\n".encode()
        await here.send(os.urandom(300_000), b"\n" + true)
        # Too long for a line of ours, with one in its middle and at its end; and one that was never ended.
        long = b"x" * 10_000
        await here.send(
            long, f"{SECRET} {LINE}".encode(), long, f" {SECRET} {LINE}\n".encode(), true, true[:-1]
        )
        await here.receives(LINE, 2)
        await here.send(true)
        await here.receives(LINE, 3)


async def test_who_has_a_certificate_is_spoken_to_by_tls_and_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = trustme.CA()
    issued = issuer.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    settings = load_settings(EdgeSettings, {"tls_cert": cert, "tls_key": key})
    trusting = ssl.create_default_context()
    issuer.configure_trust(trusting)
    tls = replace(POST, tls=settings.ssl_context())
    async with site(tls) as here:
        await here.send(f"{SECRET} {LINE}\n".encode(), tls=trusting)
        await here.receives(LINE, 1)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError, AssertionError)):
            assert await here.send(f"{SECRET} {LINE}\n".encode()) is None
        assert here.has(LINE, 1)
    monkeypatch.setattr(receiving, "HANDSHAKE_SECONDS", 0.2)
    async with site(tls) as here:
        silent, writer = await asyncio.open_connection("127.0.0.1", here.port)
        assert await asyncio.wait_for(silent.read(), 20) == b""
        writer.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log": "syslog://"}, "syslog://HOST:PORT"),
        ({"log": "syslog://127.0.0.1"}, "syslog://HOST:PORT"),
        ({"log": "syslog://127.0.0.1:99999"}, "syslog://HOST:PORT"),
        ({"log": "syslog://127.0.0.1:5140/x"}, "syslog://HOST:PORT"),
        ({"log": "syslog://127.0.0.1:5140?x"}, "syslog://HOST:PORT"),
        ({"log": "syslog://user@127.0.0.1:5140"}, "syslog://HOST:PORT"),
        ({"log": "syslog://0.0.0.0:5140"}, "0.0.0.0 can be reached from other machines"),
        ({"log": "syslog://0.0.0.0:5140", "log_secret": SECRET}, "LONGWAVE_LOG_FROM"),
        ({"log": "syslog://[::]:5140", "log_from": ("192.0.2.0/24",)}, "LONGWAVE_LOG_SECRET"),
        ({"log_secret": "too short"}, "16 to 128"),
        ({"log_from": "192.0.2.1/24"}, "--log-from: value is not a valid"),
    ],
)
def test_a_place_that_is_none_or_open_to_everybody_is_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        post_of(load_settings(EdgeSettings, options))


def test_another_log_is_no_place() -> None:
    assert post_of(load_settings(EdgeSettings, {"log": "/var/log/edge.log"})) is None


async def test_a_port_that_is_taken_is_named() -> None:
    async with site() as here:
        with pytest.raises(DependencyError, match=f"cannot listen on 127.0.0.1:{here.port}"):
            async with received(replace(POST, port=here.port), Gathering()):
                pass


@pytest.mark.parametrize(
    ("host", "warnings"), [("0.0.0.0", ["access lines come without TLS"]), ("127.0.0.1", [])]
)
async def test_a_secret_that_can_be_read_on_its_way_is_warned_of(host: str, warnings: list[str]) -> None:
    with capture_logs() as logs:
        async with received(replace(POST, host=host), Gathering()):
            pass
    assert [entry["event"] for entry in logs] == warnings


async def test_senders_who_know_no_secret_do_not_keep_out_those_who_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receiving, "MAX_CONNECTIONS", 3)
    async with site() as here:
        ours, says = await asyncio.open_connection("127.0.0.1", here.port)
        others = []
        for times in range(1, 8):
            others.append(await asyncio.open_connection("127.0.0.1", here.port))
            others[-1][1].write(b"a secret of theirs lw1 200 hit multivariant /live/room/index.m3u8\n" * 3)
            says.write(f"{SECRET} {LINE}\n".encode())
            await here.receives(LINE, times)
        for reader, _ in others[:5]:
            assert await asyncio.wait_for(reader.read(), 20) == b""
        assert not ours.at_eof()
        for _, writer in [*others, (ours, says)]:
            writer.close()


async def test_listeners_of_a_cdn_that_streams_its_log_are_told_to_origins() -> None:
    async with stand_in() as origin:
        told = []

        async def tell(request: web.Request) -> web.Response:
            told.append(await request.json())
            return web.Response(status=204)

        origin.answers["/edges/cdn/listeners"] = tell
        options = ("--log", "syslog://127.0.0.1:0", "--origin", origin.url, "--name", "cdn", "--tier", "cdn")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "longwave", "edge", *options),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "LONGWAVE_LOG_SECRET": SECRET},
        )
        try:
            assert process.stdout is not None
            said = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
            found = re.search(r"takes at syslog://127.0.0.1:(\d+)", said)
            assert found is not None, said
            here = Site(int(found[1]), Gathering())
            take = fresh_take()
            for part in range(4):
                asked = f"/live/room/{take}/64k/index.m3u8?_HLS_msn=1&_HLS_part={part}"
                line = f"<134>x longwave: {SECRET} lw1 200 hit blocking_playlist {asked}\n"
                await here.send(line.encode() * 40)
                await asyncio.sleep(0.3)
            async with asyncio.timeout(20):
                async for _ in moments():
                    if {"tier": "cdn", "rooms": {"room": 40}} in told:
                        break
        finally:
            process.terminate()
            await process.wait()
