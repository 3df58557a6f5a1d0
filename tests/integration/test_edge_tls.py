"""Edges with a certificate: HTTP/2 by ALPN, and HTTP/1.1 for who knows no other."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from tests.edge_stage import PROGRAMS, edge_before, fresh_take
from tests.edges import Tls
from tests.origins import running

pytestmark = [pytest.mark.needs("hitch", "curl"), pytest.mark.timeout(120)]


def certificate(directory: Path) -> tuple[Tls, Path]:
    """For localhost, and the authority that it is from."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    chain, key, trusted = (directory / name for name in ("chain.pem", "key.pem", "ca.pem"))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(trusted))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(chain), append=True)
    return Tls(chain, key), trusted


@pytest.mark.parametrize("program", PROGRAMS)
async def test_http_2_is_agreed_on_by_alpn_and_nobody_needs_it(program: str, tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path)
    async with running() as room:
        room.take = fresh_take()
        await room.begin()
        await room.feed((3, 2))
        async with edge_before(program, [room.url], tmp_path, tls=tls) as edge:
            address = f"{edge.url}{room.line()}/1.m4s"
            assert address.startswith("https://127.0.0.1:")
            command = ["curl", "-sS", "--cacert", str(authority), "-w", "%{http_version} %{http_code}"]
            for version, option in (("2", "--http2"), ("1.1", "--http1.1")):
                path = tmp_path / version
                asking = [*command, option, "-o", str(path), address]
                said = await asyncio.to_thread(subprocess.run, asking, capture_output=True, check=True)
                assert said.stdout.decode() == f"{version} 200"
                assert path.read_bytes() == room.segment(1)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_an_edge_may_do_without_http_2(program: str, tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path)
    async with edge_before(program, ["http://127.0.0.1:9"], tmp_path, tls=tls, http1="") as edge:
        talking = ssl.create_default_context()
        talking.check_hostname, talking.verify_mode = False, ssl.CERT_NONE
        talking.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", edge.port), 20) as plain,
            talking.wrap_socket(plain) as secure,
        ):
            assert secure.selected_alpn_protocol() == "http/1.1"
            # Nor for who does not ask: the preface of HTTP/2, and its first frame, are no request.
            secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
            assert secure.recv(1 << 12)[:8] in {b"", b"HTTP/1.1"}
