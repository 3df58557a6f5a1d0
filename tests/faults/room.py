"""A room that speaks and is recorded by strict listeners, whatever becomes of its server and its storage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiohttp

from contracts.errors import LongwaveError
from contracts.take import TakeKey
from longwave.publish import PublishOptions, publish
from storage.names import entry_name
from storage.objects import Objects
from tests.server import Server
from tests.soak.hearing import known_sound
from tests.soak.line import write_wav
from tests.soak.recorder import Recorder, Recording

RENDITIONS = ("32k", "64k")
_LISTENERS_SECONDS = 20


class Room:
    """One take of one room: a sender that comes back, and a listener for each rendition."""

    def __init__(
        self, server: Server, name: str, wav: Path, session: aiohttp.ClientSession, renditions: Sequence[str]
    ) -> None:
        self.server, self.name = server, name
        self._wav = wav
        self._recorders = [Recorder(session, server.url, name, each) for each in renditions]
        self._running = [asyncio.create_task(each.run()) for each in self._recorders]
        self._sender = asyncio.create_task(self._send())

    @property
    def key(self) -> TakeKey:
        """The take that is recorded."""
        return TakeKey(self.name, self._recorders[0].take)

    @property
    def parts(self) -> int:
        """Parts received so far, by the listener who has the fewest."""
        return min(len(each.recording.parts) for each in self._recorders)

    async def hear(self, parts: int, seconds: float = 60.0) -> None:
        """Return when every listener has received so many parts more."""
        wanted = self.parts + parts
        async with asyncio.timeout(seconds):
            while self.parts < wanted:
                self._check()
                await asyncio.sleep(0.05)

    async def change_sender(self) -> None:
        """The sender dies without a word, and another one comes."""
        await self.stop_sender()
        self._sender = asyncio.create_task(self._send())

    async def stop_sender(self) -> None:
        """The sender dies, and none comes."""
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)

    async def end(self) -> list[Recording]:
        """End the take; what the listeners received of it."""
        self._check()
        assert await self.ask_to_end() < 300
        return await self.recordings()

    async def ask_to_end(self) -> int:
        """`POST /end`; the status."""
        answer = await asyncio.to_thread(self.server.request, "POST", f"/rooms/{self.name}/end")
        return answer.status

    async def recordings(self) -> list[Recording]:
        """What the listeners received until the take's end."""
        return list(await asyncio.wait_for(asyncio.gather(*self._running), 40))

    async def close(self) -> None:
        """No sender and no listener any more."""
        tasks = [self._sender, *self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check(self) -> None:
        for task in self._running:
            assert not task.done(), task.exception() or "the take ended"

    async def _send(self) -> None:
        # A take that is ended turns its senders away.
        with contextlib.suppress(LongwaveError):
            await publish(PublishOptions(self._wav, self.name, self.server.url, speaker="Ada", loop=True))


async def make_rooms(server: Server, *names: str, renditions: Sequence[str] = RENDITIONS) -> None:
    """Write their records, which the storage has to take."""
    record = json.dumps({"renditions": list(renditions)}).encode()
    for name in names:
        assert (await asyncio.to_thread(server.request, "PUT", f"/rooms/{name}", record)).status < 300


@contextlib.asynccontextmanager
async def speaking(
    server: Server, wav: Path, *names: str, renditions: Sequence[str] = RENDITIONS, made: bool = False
) -> AsyncIterator[list[Room]]:
    """Rooms of that name in a running server, each with a sender and listeners; some are `made` already."""
    if not made:
        await make_rooms(server, *names, renditions=renditions)
    timeout = aiohttp.ClientTimeout(total=_LISTENERS_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        rooms = [Room(server, name, wav, session, renditions) for name in names]
        try:
            yield rooms
        finally:
            for room in rooms:
                await room.close()


def sound(directory: Path, seconds: int = 20) -> Path:
    """A file with speech and beeps, to be played again and again."""
    return write_wav(directory / "sound.wav", known_sound(seconds))


async def restart(server: Server) -> None:
    """`kill -9`, and up again."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def finished(data_dir: Path, objects: Objects, *keys: TakeKey, seconds: float = 40.0) -> None:
    """Return when the takes are replays: in the catalogue, and out of the spool."""

    def done() -> bool:
        spools = (data_dir / "spool" / key.room / key.take for key in keys)
        return all(objects.head(entry_name(key)) for key in keys) and not any(map(Path.exists, spools))

    await until(done, seconds)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll, beside the room's tasks, until `condition` holds."""
    await asyncio.to_thread(Server.wait_for, condition, seconds)


def verified(server: Server, key: TakeKey, data_dir: Path | None = None) -> dict[str, int]:
    """What `longwave replay verify` says of a take that it finds whole."""
    place = ["--data-dir", str(data_dir or server.data_dir)]
    argv = [
        sys.executable, "-m", "longwave", "replay", "verify", f"{key.room}/{key.take}", "--json", *place,
    ]  # fmt: skip
    said = subprocess.run(argv, env=server.env, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    (report,) = json.loads(said.stdout)["replays"]
    assert report["whole"]
    return {name: report[name] for name in ("samples", "missing_samples", "fragments", "objects")}


def degraded(server: Server) -> str:
    """What `/readyz` says is wrong, while it says that live audio works."""
    answer = server.get("/readyz")
    assert answer.status == 200, answer.text
    return "; ".join(answer.json["degraded"])
