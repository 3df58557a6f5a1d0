"""A storage of rooms that any number of servers share, with a clock that tests move."""

from __future__ import annotations

import threading
from collections.abc import Callable

from contracts.errors import StorageUnavailable
from storage.objects import Objects
from storage.rooms import CachedRoom, RoomRecord, RoomStore
from tests.over_takes import Memory, Watched

OLD, NEW = RoomRecord(title="old"), RoomRecord(title="new")


class Shelf:
    """A cache that servers share, as Redis is one."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes | None, float]] = {}
        self.now = 0.0

    def get(self, room: str) -> CachedRoom | None:
        if room not in self.held:
            return None
        data, at = self.held[room]
        return CachedRoom(data, self.now - at)

    def put(self, room: str, data: bytes | None) -> None:
        self.held[room] = data, self.now


class Site:
    """A storage with any number of servers on it, a clock, and a list of what was read."""

    def __init__(self, cache: Shelf | None = None) -> None:
        self.inner = Memory()
        self.cache = cache
        self.now = 1000.0
        self.reads: list[str] = []
        self.away = False

    def server(self, *, shared: bool = True, hook: Callable[[str, str], None] | None = None) -> RoomStore:
        def notice(what: str, name: str) -> None:
            if self.away:
                raise StorageUnavailable("the storage is gone")
            if what == "read":
                self.reads.append(name)
            if hook is not None:
                hook(what, name)

        objects: Objects = Watched(self.inner, notice)
        return RoomStore(objects, self.cache, shared=shared, clock=lambda: self.now)

    def later(self, seconds: float) -> None:
        self.now += seconds
        if self.cache is not None:
            self.cache.now += seconds


def until(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(2000):
        if condition():
            return
        waiting.wait(0.005)
    raise AssertionError("never")


def wait_for(event: threading.Event) -> None:
    assert event.wait(30)
