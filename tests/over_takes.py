"""Takes as archivers leave them: fragments, a story and a mark, in any storage; and storages that fail."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache

from contracts.position import Position
from contracts.take import Rendition, TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.boxes import init_segment, sequence_number, write_part
from pipeline.grid import Grid
from storage.documents import to_bytes
from storage.names import INIT, STORY, fragment_name, fragment_of, open_name, take_object
from storage.objects import Content, ObjectChanged, ObjectInfo, ObjectMissing, Objects
from storage.take_record import Ending, TakeRecord, take_record
from tests.takes import EPOCH_US, positions

KEY = TakeKey("talk", "20260101T000000Z-abc234")
SAMPLES = 17 * 96_000 + 70_000
"""Two fragments: 15 segments, and 3 of which the last one has not all of its parts."""
EVENTS = (
    TakeEvent(0, 0, "join", speakers=("Ada",)),
    TakeEvent(0, 1, "start", speakers=("Ada",)),
    TakeEvent(100_000, 0, "chapter", title="Beginnings"),
    TakeEvent(900_000, 0, "stop", speakers=("Ada",)),
    TakeEvent(900_001, 0, "join", speakers=("Grace",)),
    TakeEvent(900_001, 1, "start", speakers=("Grace",)),
    TakeEvent(1_000_000, 0, "chapter", title="Ends"),
)

Lost = Collection[tuple[str, int, int]]
"""Parts that never reached the storage: rendition, MSN, part."""


def header(*renditions: str, parts: int = 5) -> TakeHeader:
    names = renditions or ("64k",)
    return TakeHeader(EPOCH_US, TakeSettings(1, parts, tuple(map(Rendition, names))), "0" * 64)


@lru_cache(maxsize=64)
def part(rendition: str, grid: Grid, position: Position) -> bytes:
    """A part with access units of many sizes, each of which is found nowhere else. Nobody can decode them."""
    frames = grid.part_frames(position)
    units = [f"{rendition} {frame}".encode() * (1 + frame % 3) for frame in frames]
    return write_part(units, frames.start, sequence_number(position, grid.parts))


def fragments(header: TakeHeader, samples: int, lost: Lost = ()) -> Iterator[tuple[str, int, bytes]]:
    """Rendition, first MSN and bytes of every fragment that has a part."""
    grid = Grid(header.settings.parts)
    for rendition in header.settings.renditions:
        made: dict[int, bytes] = {}
        for position in positions(grid, Position(0, 0), grid.end_of(samples)):
            if (rendition.name, *position) not in lost:
                first = fragment_of(position.msn)
                made[first] = made.get(first, b"") + part(rendition.name, grid, position)
        for first, data in made.items():
            yield rendition.name, first, data


def story(header: TakeHeader, samples: int = SAMPLES, *, published: bool = True) -> TakeRecord:
    ending = Ending(room_title="Radio Ada", published=published)
    return take_record(KEY, header, samples, EVENTS, ending)


def archive(
    objects: Objects,
    header: TakeHeader,
    samples: int = SAMPLES,
    lost: Lost = (),
    *,
    told: bool = True,
    made: Iterable[tuple[str, int, bytes]] | None = None,
) -> None:
    """Everything that there is of a take when it is over, up to the story (if it is `told`)."""
    objects.put_new(open_name(KEY), to_bytes(header.to_json()))
    for rendition in header.settings.renditions:
        name = take_object(KEY, f"{rendition.name}/{INIT}")
        objects.put_new(name, init_segment(header.settings, rendition))
    for name, first, data in fragments(header, samples, lost) if made is None else made:
        objects.put_new(fragment_name(KEY, name, first), data)
    if told:
        objects.put_new(take_object(KEY, STORY), to_bytes(story(header, samples).to_json()))


def everything(objects: Objects) -> dict[str, bytes]:
    """Every object of a storage."""
    return {info.name: objects.read(info.name).data for info in [*objects.list("")]}


class Memory:
    """A storage in memory, for tests that need hundreds of them; it does what the others are tested to do.

    One thread at a time. `now` is when objects are written, in seconds since 1970.
    """

    name = "memory:"

    def __init__(self, there: dict[str, tuple[bytes, ObjectInfo]] | None = None) -> None:
        self._there = dict(there or {})
        self._versions = 0
        self.now = 0.0

    def copy(self) -> Memory:
        copied = Memory(self._there)
        copied._versions, copied.now = self._versions, self.now
        return copied

    def put_new(self, name: str, data: bytes) -> bool:
        if name in self._there:
            return False
        self.write(name, [data])
        return True

    def replace(self, name: str, data: bytes, etag: str | None) -> ObjectInfo:
        there = self.head(name)
        if (there.etag if there else None) != etag:
            raise ObjectChanged(name)
        return self.write(name, [data])

    def write(self, name: str, chunks: Iterable[bytes]) -> ObjectInfo:
        data = b"".join(chunks)
        self._versions += 1
        info = ObjectInfo(name, len(data), str(self._versions), self.now)
        self._there[name] = data, info
        return info

    def read(self, name: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Content:
        if name not in self._there:
            raise ObjectMissing(name)
        data, info = self._there[name]
        if etag not in {None, info.etag}:
            raise ObjectChanged(name)
        if start > len(data):
            raise ValueError(name)
        return Content(data[start:stop], info)

    def head(self, name: str) -> ObjectInfo | None:
        return self._there[name][1] if name in self._there else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return iter([self._there[name][1] for name in sorted(self._there) if name.startswith(prefix)])

    def children(self, directory: str) -> Iterator[str]:
        below = [name.removeprefix(directory) for name in self._there if name.startswith(directory)]
        return iter(sorted({name.partition("/")[0] for name in below if "/" in name}))

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            self._there.pop(name, None)

    def remove(self, name: str, etag: str) -> None:
        there = self.head(name)
        if there is None or there.etag != etag:
            raise ObjectChanged(name)
        self.delete([name])

    def presign(self, name: str, seconds: int, *, filename: str | None = None) -> str | None:
        return None

    def close(self) -> None:
        pass


class Watched:
    """A storage that tells `hook` of everything before it is done, and `after` of what was done.

    Both get the name of the method and of the (first) object.
    """

    def __init__(
        self,
        objects: Objects,
        hook: Callable[[str, str], None] = lambda _what, _name: None,
        after: Callable[[str, str], None] = lambda _what, _name: None,
    ) -> None:
        self._objects = objects
        self.hook = hook
        self.after = after

    @property
    def name(self) -> str:
        return self._objects.name

    def put_new(self, name: str, data: bytes) -> bool:
        self.hook("put_new", name)
        new = self._objects.put_new(name, data)
        self.after("put_new", name)
        return new

    def replace(self, name: str, data: bytes, etag: str | None) -> ObjectInfo:
        self.hook("replace", name)
        info = self._objects.replace(name, data, etag)
        self.after("replace", name)
        return info

    def write(self, name: str, chunks: Iterable[bytes]) -> ObjectInfo:
        self.hook("write", name)
        info = self._objects.write(name, self._to_the_end(name, chunks))
        self.after("write", name)
        return info

    def _to_the_end(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        yield from chunks
        # Nobody can stop it any more, and nothing of it is seen yet.
        self.hook("written", name)

    def read(self, name: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Content:
        self.hook("read", name)
        return self._objects.read(name, start, stop, etag=etag)

    def head(self, name: str) -> ObjectInfo | None:
        self.hook("head", name)
        return self._objects.head(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.hook("list", prefix)
        return self._objects.list(prefix)

    def children(self, directory: str) -> Iterator[str]:
        self.hook("children", directory)
        return self._objects.children(directory)

    def remove(self, name: str, etag: str) -> None:
        self.hook("remove", name)
        self._objects.remove(name, etag)
        self.after("remove", name)

    def delete(self, names: Iterable[str]) -> None:
        wanted = [*names]
        self.hook("delete", wanted[0] if wanted else "")
        # One at a time: a storage may stop between any two.
        for name in wanted:
            self._objects.delete([name])
            self.after("delete", name)

    def presign(self, name: str, seconds: int, *, filename: str | None = None) -> str | None:
        return self._objects.presign(name, seconds, filename=filename)

    def close(self) -> None:
        self._objects.close()
