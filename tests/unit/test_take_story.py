"""What a take's record says when it is over, also after a server was killed in between."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.access import Grant
from contracts.errors import DiskUnavailable, Forbidden
from contracts.take import TakeEvent, TakeKey
from storage.event_log import EventLog
from storage.rooms import RoomRecord
from storage.take_record import TakeRecord
from tests.waiting import until
from tests.world import BLOCK, World
from workers.speaker import PcmSpeaker

RATE = 48_000
SECOND_OF_TICKS = RATE // BLOCK


def record(data: Path, key: TakeKey) -> Any:  # noqa: ANN401 - parsed JSON
    path = data / "rooms" / key.room / key.take / "story.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def talk(world: World, speakers: dict[PcmSpeaker, bool], seconds: float) -> None:
    """Time goes by, and those speak who do; the others send silence."""
    tone = (8000 * np.sin(2 * np.pi * 300 * np.arange(BLOCK) / RATE)).astype("<i2").tobytes()
    for _ in range(round(seconds * SECOND_OF_TICKS)):
        for speaker, speaks in speakers.items():
            world.ingest.feed(speaker, tone if speaks else bytes(2 * BLOCK))
        world.tick()


async def begin(world: World, *names: str) -> tuple[TakeKey, dict[str, PcmSpeaker]]:
    speakers = {name: await world.ingest.connect("room", name, 1) for name in names}
    talk(world, dict.fromkeys(speakers.values(), False), 0.5)
    live = world.ingest.live("room")
    assert live is not None
    return live.key, speakers


async def test_the_record_of_a_take_says_who_spoke_when_and_what_was_titled(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rooms.put("room", RoomRecord(title="Town hall", replays="unpublished"))
    await world.resume()
    key, speakers = await begin(world, "Ada", "Bo")
    ada, bo = speakers.values()
    talk(world, {ada: True, bo: False}, 3)
    world.ingest.chapter("room", 'Of "commas", and\nlines')
    talk(world, {ada: False, bo: True}, 2)
    world.ingest.mute("room", "Bo")
    talk(world, {ada: False, bo: True}, 2)
    _, samples = world.ingest.end("room")
    await until(lambda: record(tmp_path, key) is not None)
    told = record(tmp_path, key)
    assert told["samples"] == samples
    assert (told["room_title"], told["published"]) == ("Town hall", False)
    assert [chapter["title"] for chapter in told["chapters"]] == ['Of "commas", and\nlines']
    by_name = {speaker["name"]: speaker for speaker in told["speakers"]}
    ((began, ended),) = by_name["Ada"]["spoke"]
    assert ended - began == pytest.approx(3 * RATE, abs=RATE // 4)
    ((began, ended),) = by_name["Bo"]["spoke"]
    assert told["chapters"][0]["sample"] <= began + RATE // 2
    assert ended - began == pytest.approx(2 * RATE, abs=RATE // 4)
    assert len(by_name["Bo"]["muted"]) == 1
    assert told["loudness"]["integrated"] == pytest.approx(-16, abs=4)
    await world.ingest.stop()


async def test_a_killed_server_still_knows_what_happened_before(tmp_path: Path) -> None:
    first = World(tmp_path)
    await first.resume()
    key, speakers = await begin(first, "Ada", "Bo", "Cy")
    talk(first, {speakers["Ada"]: True}, 2)
    first.ingest.chapter("room", "One")
    first.ingest.mute("room", "Bo")
    first.ingest.remove("room", "Cy")
    talk(first, {speakers["Ada"]: True}, 2)
    stored = first.store
    await until(lambda: any(take.orders.removed and take.events for take in stored.stored()))
    await until(lambda: any(event.kind == "chapter" for event in stored.events(key)))
    await until(lambda: bool(stored.loudness(key)))

    # The first process is gone without a word; another one finds what it left.
    second = World(tmp_path)
    second.now = first.now + 2_000_000_000
    await second.resume()
    live = second.ingest.live("room")
    assert live is not None
    assert live.key == key
    with pytest.raises(Forbidden):
        await second.ingest.connect("room", "Cy", 1, grant=Grant("admin"))
    bo = await second.ingest.connect("room", "Bo", 1)
    talk(second, {bo: True}, 4)
    assert [(speaker.name, speaker.muted) for speaker in second.ingest.live("room").speakers] == [  # type: ignore[union-attr]
        ("Bo", True)
    ]
    second.ingest.end("room")
    await until(lambda: record(tmp_path, key) is not None)
    told = record(tmp_path, key)
    assert [chapter["title"] for chapter in told["chapters"]] == ["One"]
    by_name = {speaker["name"]: speaker for speaker in told["speakers"]}
    assert {"Ada", "Bo", "Cy"} <= set(by_name)
    ((_, ended),) = by_name["Ada"]["spoke"]
    assert ended < told["samples"] - RATE
    # Measured before the server was killed: since then the only speaker was muted.
    assert told["loudness"]["integrated"] == pytest.approx(-16, abs=4)
    await second.ingest.stop()
    await first.ingest.stop()


async def test_what_is_told_last_while_the_disk_is_busy_is_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, free = threading.Event(), threading.Event()
    append = EventLog.append

    def slowly(log: EventLog, events: Iterable[TakeEvent]) -> None:
        busy.set()
        free.wait(20)
        append(log, events)

    monkeypatch.setattr(EventLog, "append", slowly)
    world = World(tmp_path)
    await world.resume()
    key, speakers = await begin(world, "Ada")
    talk(world, {speakers["Ada"]: True}, 2)
    await until(busy.is_set)
    world.ingest.chapter("room", "The last word")
    talk(world, {speakers["Ada"]: True}, 0.1)
    world.ingest.end("room")
    free.set()
    await until(lambda: record(tmp_path, key) is not None)
    assert [chapter["title"] for chapter in record(tmp_path, key)["chapters"]] == ["The last word"]
    await world.ingest.stop()


async def test_a_record_that_the_disk_refuses_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.take_writer._RETRY_SECONDS", 0.02)
    world = World(tmp_path)
    await world.resume()
    key, speakers = await begin(world, "Ada")
    talk(world, {speakers["Ada"]: True}, 2)
    put, tries = world.stories.put, []

    def refuse(told: TakeRecord) -> bool:
        tries.append(told)
        if len(tries) < 3:
            raise DiskUnavailable("the disk is full")
        return put(told)

    monkeypatch.setattr(world.stories, "put", refuse)
    world.ingest.end("room")
    await until(lambda: bool(tries))
    world.hub.close(key)  # published to its end: it would be forgotten now
    await until(lambda: record(tmp_path, key) is not None)
    assert len(tries) == 3
    await until(lambda: not world.on_disk())
    await world.ingest.stop()
