"""FFmpeg publishes by WHIP: the real client of libavformat, in both roles of the DTLS handshake."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import trustme

from contracts.tokens import TokenGate
from tests.audio import beeps, find_beeps
from tests.whip_room import ended, whip_server

# Under this load of two cores a handshake has taken seconds, and FFmpeg's own patience is five.
PATIENT: Final = "handshake_timeout=30000"
TOKEN: Final = "a token of the tests"
SAID: Final = beeps(2.5)
# libopus looks ahead by so much.
OPUS_DELAY: Final = 312


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """On P-256. An FFmpeg that is built with GnuTLS makes itself one on P-224, which RFC 8422 forbids."""
    directory = tmp_path_factory.mktemp("certificate")
    issued = trustme.CA().issue_cert("sender.example.net")
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(directory / "cert.pem"))
    return f"cert_file={directory / 'cert.pem'}", f"key_file={directory / 'key.pem'}"


@pytest.fixture
def said(tmp_path: Path) -> Path:
    path = tmp_path / "beeps.pcm"
    path.write_bytes(SAID.astype("<i2").tobytes())
    return path


@contextlib.asynccontextmanager
async def ffmpeg(url: str, pcm: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Plays `pcm` to `url`; what it says is in the process's stderr."""
    with pcm.open("rb") as sound:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.ffmpeg_whip", url, PATIENT, *options),
            stdin=sound,
            stderr=asyncio.subprocess.PIPE,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("role", ["passive", "active"])
async def test_ffmpeg_is_heard(role: str, said: Path, certificate: tuple[str, str]) -> None:
    flags = ("whip_flags=dtls_active",) if role == "active" else ()
    async with whip_server(gate=TokenGate(TOKEN)) as server:
        url = f"{server.url}/whip/room?speaker=Ann"
        async with ffmpeg(url, said, f"authorization={TOKEN}", *certificate, *flags) as process:
            _, words = await process.communicate()
            assert process.returncode == 0, words.decode()
        # It says goodbye with DELETE.
        await ended(server, "left")
        assert server.ingest.speakers[0].name == "Ann"
        heard = find_beeps(server.ingest.heard()[:, 0])
    reference = find_beeps(SAID)
    assert [beep.tone for beep in heard] == [beep.tone for beep in reference]
    offsets = [beep.sample - wanted.sample for beep, wanted in zip(heard, reference, strict=True)]
    assert offsets == pytest.approx([OPUS_DELAY] * len(reference), abs=48)


async def test_ffmpeg_without_a_token_is_refused(said: Path) -> None:
    async with (
        whip_server(gate=TokenGate(TOKEN)) as server,
        ffmpeg(f"{server.url}/whip/room", said) as process,
    ):
        _, words = await process.communicate()
        assert process.returncode == 1
        assert "401" in words.decode()
        assert not server.ingest.speakers
