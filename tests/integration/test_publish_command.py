"""`longwave publish` against servers that take, refuse, break off and come back."""

from __future__ import annotations

import asyncio
import io
import signal
import ssl
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from numpy.typing import NDArray
from rich.console import Console

from contracts.errors import DependencyError, LongwaveError, UndecodableFile, UsageError
from longwave import publish as publish_module
from longwave.publish import PublishOptions, publish
from longwave.publish_view import BarView, PlainView, QuietView, clock_text, printable, view_for
from tests.waiting import until

RATE = 48_000
Handler = Callable[["Room", web.Request], Awaitable[web.StreamResponse]]


def ramp(samples: int) -> NDArray[np.int16]:
    """Sound whose samples say where they belong, up to 64k of them (1.36 s)."""
    return (np.arange(samples) - 32_768).astype("<i2")


def write_wav(path: Path, pcm: NDArray[np.int16], channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return path


async def take_all(room: Room, request: web.Request) -> web.StreamResponse:
    """Take the whole body."""
    heard = bytearray()
    room.heard.append(heard)
    async for data in request.content.iter_any():
        heard += data
    return web.json_response({})


def take_and_break(count: int) -> Handler:
    """Take some bytes and cut the connection, as a server does that is killed."""

    async def handler(room: Room, request: web.Request) -> web.StreamResponse:
        room.heard.append(bytearray(await request.content.readexactly(count)))
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return handler


def refuse(status: int, message: str) -> Handler:
    async def handler(_: Room, request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        return web.json_response({"error": message}, status=status)

    return handler


class Room:
    """A server for `PUT /pcm/{room}`: a handler for each connection, the last one for all further."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self.requests: list[web.Request] = []
        self.handlers: list[Handler] = [take_all]
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        handler = self.handlers[min(len(self.requests), len(self.handlers) - 1)]
        self.requests.append(request)
        return await handler(self, request)

    def samples(self, connection: int) -> NDArray[np.int16]:
        heard = bytes(self.heard[connection])
        return np.frombuffer(heard[: len(heard) // 2 * 2], "<i2")


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    room = Room()
    app = web.Application()
    app.router.add_put("/pcm/{room}", room.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    room.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield room
    await runner.cleanup()


class Seen(QuietView):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.positions: list[int] = []
        self.title = ""
        self.duration: int | None = None

    def begin(self, title: str, duration: int | None) -> None:
        self.title, self.duration = title, duration

    def position(self, samples: int) -> None:
        self.positions.append(samples)

    def state(self, text: str) -> None:
        self.states.append(text)


async def test_a_file_arrives_sample_for_sample_and_no_faster_than_it_sounds(
    room: Room, tmp_path: Path
) -> None:
    pcm = ramp(RATE)
    view, began = Seen(), time.monotonic()
    await publish(PublishOptions(write_wav(tmp_path / "a.wav", pcm), "demo", room.url), view)
    # 0.3 s ahead of the clock, and pieces of 0.1 s.
    assert time.monotonic() - began >= 0.6
    assert np.array_equal(room.samples(0), pcm)
    assert (view.title, view.duration, view.positions[-1]) == ("a.wav → demo", RATE, RATE)
    assert view.states[-1] == "finished"


async def test_the_request_says_who_speaks_with_which_token_and_channels(room: Room, tmp_path: Path) -> None:
    stereo = np.stack((ramp(4800), -ramp(4800) - 1), axis=1)
    file = write_wav(tmp_path / "a.wav", stereo, channels=2)
    options = PublishOptions(file, "demo", room.url + "/", token="secret", speaker="Ada & Bob", channels=2)
    await publish(options)
    (request,) = room.requests
    assert request.path == "/pcm/demo"
    assert dict(request.query) == {"channels": "2", "speaker": "Ada & Bob"}
    assert request.headers["Authorization"] == "Bearer secret"
    assert room.samples(0).reshape(-1, 2).tolist() == stereo.tolist()


async def test_after_a_cut_the_sound_goes_on_where_the_clock_is(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.backoff.random.uniform", lambda _least, most: most)
    pcm = np.resize(ramp(65_000), 5 * RATE // 2)
    # Away for 1.4 s, of which 0.4 s at most had been sent ahead.
    room.handlers = [take_and_break(2 * 4800), *[refuse(503, "starting")] * 2, take_all]
    view = Seen()
    await publish(PublishOptions(write_wav(tmp_path / "a.wav", pcm), "demo", room.url), view)
    again = room.samples(-1)
    assert len(again) < len(pcm) - RATE // 2
    assert np.array_equal(again, pcm[-len(again) :])
    assert any("trying again" in state for state in view.states)
    assert any("were not heard" in state for state in view.states)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 415])
async def test_a_refusal_is_final_and_says_why(room: Room, tmp_path: Path, status: int) -> None:
    room.handlers = [refuse(status, "because\x1b[31m of this")]
    file = write_wav(tmp_path / "a.wav", ramp(60_000))
    with pytest.raises(UsageError, match=r"^demo: because\?\[31m of this$"):
        await publish(PublishOptions(file, "demo", room.url))
    assert len(room.requests) == 1


async def end_the_take(_: Room, request: web.Request) -> web.StreamResponse:
    """Answer in the middle of the body, as when a host ends the take."""
    await request.content.readexactly(2 * 30_000)
    return web.json_response({"error": "the take was ended"}, status=409)


async def test_a_take_that_its_host_ends_is_not_begun_again(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "ADMITTED_SECONDS", 0.1)
    room.handlers = [end_the_take]
    file = write_wav(tmp_path / "a.wav", ramp(60_000))
    with pytest.raises(LongwaveError, match="demo: the take was ended") as ended:
        await publish(PublishOptions(file, "demo", room.url))
    assert not isinstance(ended.value, UsageError)
    assert len(room.requests) == 1


async def end_at_once(_: Room, request: web.Request) -> web.StreamResponse:
    """The host ends the take just when the sender is back."""
    await request.content.readexactly(2)
    return web.json_response({"error": "the take was ended", "ended": True}, status=409)


async def test_a_take_that_ends_while_its_sender_comes_back_is_not_begun_again(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "ADMITTED_SECONDS", 0.1)
    room.handlers = [take_and_break(2 * 30_000), end_at_once, take_all]
    with pytest.raises(LongwaveError, match="demo: the take was ended"):
        await publish(PublishOptions(write_wav(tmp_path / "a.wav", ramp(65_000)), "demo", room.url))
    assert len(room.requests) == 2


async def test_a_room_that_still_believes_in_the_broken_connection_is_asked_again(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "ADMITTED_SECONDS", 0.1)
    room.handlers = [take_and_break(2 * 30_000), refuse(409, "this room has a sender"), take_all]
    await publish(PublishOptions(write_wav(tmp_path / "a.wav", ramp(65_000)), "demo", room.url))
    assert len(room.requests) == 3


async def test_a_loop_goes_on_without_a_seam_until_it_is_stopped(room: Room, tmp_path: Path) -> None:
    pcm = ramp(10_000)
    stop, view = asyncio.Event(), Seen()
    options = PublishOptions(write_wav(tmp_path / "a.wav", pcm), "demo", room.url, loop=True)
    publishing = asyncio.create_task(publish(options, view, stop))
    await until(lambda: bool(room.heard) and len(room.heard[0]) > 2 * 25_000)
    stop.set()
    await publishing
    heard = room.samples(0)
    assert np.array_equal(heard, np.tile(pcm, 9)[: len(heard)])
    assert view.duration is None


async def test_a_file_that_cannot_be_decoded_is_refused_before_anything_is_sent(
    room: Room, tmp_path: Path
) -> None:
    file = tmp_path / "text.flac"
    file.write_text("no sound")
    with pytest.raises(UndecodableFile):
        await publish(PublishOptions(file, "demo", room.url))
    with pytest.raises(UndecodableFile):
        await publish(PublishOptions(tmp_path / "missing.flac", "demo", room.url))
    assert room.requests == []


async def test_a_file_without_sound_is_no_endless_loop(room: Room, tmp_path: Path) -> None:
    file = write_wav(tmp_path / "empty.wav", ramp(0))
    with pytest.raises(UndecodableFile):
        await publish(PublishOptions(file, "demo", room.url, loop=True))


async def test_a_server_that_is_not_there_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "PATIENCE_SECONDS", 0.2)
    file = write_wav(tmp_path / "a.wav", ramp(4800))
    with pytest.raises(DependencyError, match="no connection"):
        await publish(PublishOptions(file, "demo", "http://127.0.0.1:9"))


async def test_a_server_that_takes_nothing_any_more_is_left(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def freeze(_: Room, request: web.Request) -> web.StreamResponse:
        await request.content.readexactly(9600)
        await asyncio.sleep(3)
        return web.Response()

    monkeypatch.setattr(publish_module, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(publish_module, "PATIENCE_SECONDS", 0.0)
    room.handlers = [freeze]
    file = write_wav(tmp_path / "a.wav", ramp(4800 * 2))
    with pytest.raises(DependencyError, match="takes nothing any more"):
        await publish(PublishOptions(file, "demo", room.url))


@pytest.mark.parametrize(
    "options",
    [
        PublishOptions(Path("a"), "no room"),
        PublishOptions(Path("a"), "demo", url="example.org"),
        PublishOptions(Path("a"), "demo", url="ftp://example.org"),
        PublishOptions(Path("a"), "demo", channels=3),
        PublishOptions(Path("a"), "demo", speaker="\n"),
        PublishOptions(Path("a"), "demo", ca=Path("nowhere.pem")),
    ],
)
async def test_a_wrong_use_is_one_line(options: PublishOptions) -> None:
    with pytest.raises(UsageError) as refused:
        await publish(options)
    assert "\n" not in refused.value.message


@pytest.mark.needs("openssl")
async def test_an_https_server_is_checked_against_a_given_certificate(room: Room, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    await asyncio.to_thread(
        subprocess.run,
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    app = web.Application()
    app.router.add_put("/pcm/{room}", room.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    file = write_wav(tmp_path / "a.wav", ramp(4800))
    await publish(PublishOptions(file, "demo", url, ca=cert))
    await runner.cleanup()
    assert len(room.samples(0)) == 4800


async def test_ctrl_c_ends_it_cleanly(room: Room, tmp_path: Path) -> None:
    file = write_wav(tmp_path / "a.wav", ramp(20_000))
    program = (
        "import sys; from pathlib import Path; from longwave.publish import PublishOptions, run_publish;"
        "run_publish(PublishOptions(Path(sys.argv[1]), 'demo', sys.argv[2], loop=True))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        str(file),
        room.url,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    await until(lambda: bool(room.heard) and len(room.heard[0]) > 2 * 20_000)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == 0
    assert err == b""
    # No terminal: plain lines.
    assert out.decode().splitlines()[0] == "a.wav → demo"
    assert all(char.isprintable() or char == "\n" for char in out.decode())


def test_lines_say_what_changed_and_hold_no_control_characters() -> None:
    out = io.StringIO()
    with PlainView(Console(file=out, width=20)) as view:
        view.begin("a long name that is not wrapped.flac → [bold]", 62 * RATE)
        view.position(RATE * 3723)
        view.state("no connection; trying again")
    assert out.getvalue() == (
        "a long name that is not wrapped.flac → [bold] (1:02)\n1:02:03 no connection; trying again\n"
    )


def test_a_terminal_gets_a_bar_with_position_time_left_and_state() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    view = view_for(console)
    assert isinstance(view, BarView)
    with view:
        view.begin("song.flac → demo", 100 * RATE)
        view.position(25 * RATE)
        view.state("live")
    text = out.getvalue()
    for shown in ("song.flac → demo", "0:25", "-1:15", "live"):
        assert shown in text


def test_clock_and_names() -> None:
    assert [clock_text(seconds * RATE) for seconds in (0, 61, 3600)] == ["0:00", "1:01", "1:00:00"]
    assert printable("a\x1b[2Jb\n") == "a?[2Jb?"
