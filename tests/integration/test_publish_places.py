"""`longwave publish` with several servers: where it goes when one dies, refuses, freezes or sends it on."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from numpy.typing import NDArray
from yarl import URL

from contracts.errors import DependencyError, UsageError
from longwave import publish as publish_module
from longwave import publish_places
from longwave.publish import PublishOptions, publish
from longwave.publish_places import Places
from longwave.publish_view import QuietView
from tests.ingests import serving

RATE = 48_000
NOBODY = "http://127.0.0.1:9"
Handler = Callable[["House", web.Request], Awaitable[web.StreamResponse]]


class House:
    """A server: what it heard, and what it does with who comes."""

    def __init__(self, handler: Handler) -> None:
        self.heard = bytearray()
        self.tokens: list[str | None] = []
        self._handler = handler
        self.frozen = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.frozen:
            await asyncio.get_running_loop().create_future()
        if request.method == "GET":
            return web.json_response({"status": "alive"})
        self.tokens.append(request.headers.get("Authorization"))
        return await self._handler(self, request)

    @property
    def samples(self) -> NDArray[np.int16]:
        return np.frombuffer(bytes(self.heard[: len(self.heard) // 2 * 2]), "<i2")


async def take_all(house: House, request: web.Request) -> web.StreamResponse:
    async for data in request.content.iter_any():
        house.heard += data
    return web.json_response({})


async def take_and_die(house: House, request: web.Request) -> web.StreamResponse:
    """0.2 s of sound, and a cut, as of a server that is killed."""
    house.heard += await request.content.readexactly(2 * 9600)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def take_and_freeze(house: House, request: web.Request) -> web.StreamResponse:
    house.heard += await request.content.readexactly(2 * 9600)
    house.frozen = True
    await asyncio.get_running_loop().create_future()
    return web.Response()


async def refuse(_: House, request: web.Request) -> web.StreamResponse:
    await request.content.readany()
    return web.json_response({"error": "no bus answers"}, status=503)


def send_on(where: Callable[[web.Request], str]) -> Handler:
    async def handler(_: House, request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        return web.Response(status=307, headers={"Location": where(request)})

    return handler


def written(path: Path, samples: int) -> tuple[Path, NDArray[np.int16]]:
    """Sound whose samples say where they belong."""
    pcm = (np.arange(samples) - 32_768).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return path, pcm


class Seen(QuietView):
    def __init__(self) -> None:
        self.states: list[str] = []

    def state(self, text: str) -> None:
        self.states.append(text)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


async def opened(stack: AsyncExitStack, *handlers: Handler) -> tuple[list[House], list[str]]:
    houses = [House(handler) for handler in handlers]
    return houses, [await stack.enter_async_context(serving(house.answer)) for house in houses]


async def test_the_next_one_is_taken_where_nobody_answers(stack: AsyncExitStack, tmp_path: Path) -> None:
    (house,), (url,) = await opened(stack, take_all)
    file, pcm = written(tmp_path / "a.wav", 24_000)
    view = Seen()
    await publish(PublishOptions(file, "demo", f"{NOBODY}, {url}"), view)
    assert np.array_equal(house.samples, pcm), "nothing was lost to the one that was not there"
    assert any(state.endswith(f"trying {url}") for state in view.states)


async def test_what_was_sent_to_a_server_that_dies_is_not_sent_to_the_next(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    (first, second), urls = await opened(stack, take_and_die, take_all)
    file, pcm = written(tmp_path / "a.wav", 60_000)
    await publish(PublishOptions(file, "demo", ",".join(urls)))
    assert np.array_equal(first.samples, pcm[: len(first.samples)])
    again = second.samples
    assert np.array_equal(again, pcm[-len(again) :])
    assert len(first.samples) + len(again) <= len(pcm)
    # At once: it lost what was on its way, and what a busy machine takes, not a pause of seconds.
    assert len(again) > 10_000


async def test_a_server_that_refuses_for_now_is_left_for_the_next(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    (_, second), urls = await opened(stack, refuse, take_all)
    file, pcm = written(tmp_path / "a.wav", 48_000)
    await publish(PublishOptions(file, "demo", ",".join(urls)))
    again = second.samples
    assert len(again)
    assert np.array_equal(again, pcm[-len(again) :])


@pytest.mark.parametrize(("servers", "longest"), [(1, 2.0), (2, 0.5)])
async def test_of_several_servers_one_is_asked_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: int, longest: float
) -> None:
    """A room that lost its ingest is given to the first who asks when its claim has run out."""
    pauses: list[float] = []
    stop = asyncio.Event()

    async def no_pause(_: publish_module.Sender, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 24:
            stop.set()

    monkeypatch.setattr(publish_module.Sender, "_pause", no_pause)
    file, _ = written(tmp_path / "a.wav", 4800)
    await publish(PublishOptions(file, "demo", ",".join([NOBODY] * servers)), stop=stop)
    assert longest / 2 <= max(pauses) <= longest


async def test_a_frozen_server_is_left_where_another_one_is(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_places, "_SIGN_SECONDS", 0.05)
    monkeypatch.setattr(publish_places, "_SIGN_PATIENCE", 0.3)
    (_, second), urls = await opened(stack, take_and_freeze, take_all)
    file, _ = written(tmp_path / "a.wav", 60_000)
    view = Seen()
    publishing = asyncio.create_task(publish(PublishOptions(file, "demo", ",".join(urls), loop=True), view))
    async with asyncio.timeout(20):
        while not second.heard:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    assert any("no sign of life" in state for state in view.states)


async def test_all_that_are_given_up_are_given_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "PATIENCE_SECONDS", 0.2)
    file, _ = written(tmp_path / "a.wav", 4800)
    with pytest.raises(DependencyError, match="no connection"):
        await publish(PublishOptions(file, "demo", f"{NOBODY},http://127.0.0.1:7"))


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:8080,", "http://127.0.0.1:8080,example.org"])
async def test_each_server_has_to_be_one(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        await publish(PublishOptions(tmp_path / "a.wav", "demo", url))


async def test_a_server_that_sends_it_on_is_followed_and_nothing_is_lost(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    (owner,), (url,) = await opened(stack, take_all)
    (_,), (asked,) = await opened(stack, send_on(lambda request: url + request.raw_path))
    file, pcm = written(tmp_path / "a.wav", 24_000)
    await publish(PublishOptions(file, "demo", asked, token="secret"))
    assert np.array_equal(owner.samples, pcm)
    assert owner.tokens == ["Bearer secret"]


async def test_servers_that_send_it_back_and_forth_are_left(stack: AsyncExitStack, tmp_path: Path) -> None:
    (house,), (url,) = await opened(
        stack, send_on(lambda request: f"{request.path}?n={len(request.query_string)}{request.query_string}")
    )
    file, _ = written(tmp_path / "a.wav", 24_000)
    with pytest.raises(UsageError, match="307"):
        await publish(PublishOptions(file, "demo", url))
    assert len(house.tokens) == 6


@pytest.mark.parametrize(
    ("location", "followed"),
    [
        ("https://b/pcm/r", True),
        ("http://b/pcm/r", False),
        ("/pcm/other", True),
        ("https://a/pcm/r", False),
        ("ftp://b/", False),
        ("http://[", False),
        (None, False),
    ],
)
def test_where_it_may_be_sent(location: str | None, followed: bool) -> None:
    assert Places([URL("https://a/pcm/r")]).follow(location) is followed


def test_all_are_tried_before_a_pause_and_again_after_one_was_good() -> None:
    places = Places([URL("http://a/"), URL("http://b/")])
    assert (places.leave(), places.here.host) == (True, "b")
    assert (places.leave(), places.here.host) == (False, "a")
    places.let_in()
    assert (places.leave(), places.here.host) == (True, "b")
