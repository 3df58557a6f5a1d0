"""The one interface to what is kept for good: objects under names.

On a disk it is `disk_objects`, in S3 `s3_objects`; one contract test runs against both.

Everything here is blocking: an event loop calls it through a bounded pool of threads. Names are relative,
`/` separates, and `storage.names` makes them; whoever passes on what a stranger sent validates it first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import LongwaveError


class ObjectMissing(LongwaveError):
    """No object of this name. Handled inside: what it means is known only to whoever asked."""


class ObjectChanged(LongwaveError):
    """The object is not (any more) the one that was named by its etag. Handled inside."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a storage says of an object without reading it.

    `etag` is opaque and differs whenever the content does; it is the storage's own, and no listener's.
    `modified` is in seconds since 1970.
    """

    name: str
    size: int
    etag: str
    modified: float


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes of one version of an object: all of it, or the range that was asked for."""

    data: bytes
    info: ObjectInfo


class Objects(Protocol):
    """A storage.

    Every method may raise StorageUnavailable (DiskUnavailable is one), which leaves open whether it did
    anything; all of them may be repeated.
    """

    @property
    def name(self) -> str:
        """What logs call it: `file:///data`, `s3://bucket/prefix`. Never a secret."""

    def put_new(self, name: str, data: bytes) -> bool:
        """Keep `data` under a name that is free, durably; False where it is taken, and what is there stays.

        False may also be the answer to a repetition whose first try did its work: who cares, compares bytes.
        """

    def replace(self, name: str, data: bytes, etag: str | None) -> ObjectInfo:
        """Keep `data` in place of the version `etag` (None: where there was nothing), durably.

        Raises ObjectChanged when something else is there.
        """

    def write(self, name: str, chunks: Iterable[bytes]) -> ObjectInfo:
        """Keep the joined `chunks`, durably, whatever was there; holds no more than a few MB of them.

        Readers see the old object or the new one. An error of `chunks` is passed on, and nothing is changed.
        """

    def read(self, name: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Content:
        """Bytes [start, stop) of an object, fewer where it ends before. `start` may be its size, not more.

        With `etag` of that version only. Raises ObjectMissing, ObjectChanged, and ValueError for a range that
        lies outside.
        """

    def head(self, name: str) -> ObjectInfo | None:
        """What there is under a name."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose names begin with `prefix`, in the order of their names (by code point)."""

    def children(self, directory: str) -> Iterator[str]:
        """What lies below a `directory` and holds objects itself: `rooms/` → `news`, `sports`; not objects.

        Quick, however many objects there are. By code point of `name/`; `directory` is empty or ends in `/`.
        """

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; names without one are no error."""

    def remove(self, name: str, etag: str) -> None:
        """Remove the version `etag` of an object. Raises ObjectChanged where another one is there, or none.

        A storage that knows no such condition looks first: what is written in that moment may go, too.
        """

    def presign(self, name: str, seconds: int, *, filename: str | None = None) -> str | None:
        """A URL by which anybody may read an object for `seconds`; None where a storage has no such thing.

        A client that follows it is told to save the file as `filename`.
        """

    def close(self) -> None:
        """Let go of connections and threads."""
