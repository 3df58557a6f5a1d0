"""Objects as files under one directory: whole or not there, and synced before anything is said of them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from storage.aside import remove_left_aside, written_aside
from storage.files import disk_errors
from storage.legal_names import check_directory, check_name, check_prefix, legal_piece
from storage.objects import Content, ObjectChanged, ObjectInfo, ObjectMissing

_LOCK: Final = ".objects.lock"
# A directory of that name, or a file where the name has a directory: there is no such object.
_NOT_THERE: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_IN_USE: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY})


class DiskObjects:
    """Objects under `root`, which may hold other files too; any number of threads and processes may use it.

    A name is a path: where there is `a/b`, `a` cannot be (DiskUnavailable). Beside what `Objects` says, all
    methods raise ValueError for a name that no object can have.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def name(self) -> str:
        """`file:///data`."""
        return self._root.as_uri()

    def put_new(self, name: str, data: bytes) -> bool:
        """Keep an object under a name that is free; False where it is taken."""
        path = self._path(name)
        with disk_errors(path):
            new = _there(path) is None
            if new:
                with written_aside(path, [data]) as aside, self._locked():
                    new = _there(path) is None
                    if new:
                        aside.replace(path)
        # Also for the loser, who may be the first to say that it is there.
        _sync(path.parent)
        return new

    def replace(self, name: str, data: bytes, etag: str | None) -> ObjectInfo:
        """Keep an object in place of the version `etag`. Raises ObjectChanged."""
        path = self._path(name)
        with written_aside(path, [data]) as aside, disk_errors(path):
            info = _info(name, aside.stat())
            with self._locked():
                there = _there(path)
                if (_etag(there) if there else None) != etag:
                    raise ObjectChanged(f"{name}: somebody else changed it")
                aside.replace(path)
        _sync(path.parent)
        return info

    def write(self, name: str, chunks: Iterable[bytes]) -> ObjectInfo:
        """Keep the joined chunks, whatever was there."""
        path = self._path(name)
        with written_aside(path, chunks) as aside, disk_errors(path):
            info = _info(name, aside.stat())
            with self._locked():
                aside.replace(path)
        _sync(path.parent)
        return info

    def read(self, name: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Content:
        """Bytes [start, stop) of an object. Raises ObjectMissing, ObjectChanged, ValueError."""
        path = self._path(name)
        with disk_errors(path):
            try:
                file = path.open("rb")
            except _NOT_THERE:
                raise ObjectMissing(f"{name}: no such object") from None
            # What is open stays this version, whoever puts another in its place.
            with file:
                info = _info(name, os.fstat(file.fileno()))
                if etag not in {None, info.etag}:
                    raise ObjectChanged(f"{name}: somebody else changed it")
                stop = info.size if stop is None else min(stop, info.size)
                if not 0 <= start <= stop:
                    raise ValueError(f"{name}: bytes {start} to {stop} of {info.size}")
                file.seek(start)
                return Content(file.read(stop - start), info)

    def head(self, name: str) -> ObjectInfo | None:
        """What there is under a name."""
        path = self._path(name)
        with disk_errors(path):
            there = _there(path)
        return _info(name, there) if there else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose names begin with `prefix`, by code point. Looks only where such names can be."""
        directory, _, start = check_prefix(prefix).rpartition("/")
        return _walk(self._root / directory, f"{directory}/" if directory else "", start)

    def children(self, directory: str) -> Iterator[str]:
        """The directories in a directory, by code point; one that is about to go may be among them."""
        path = self._root / check_directory(directory)
        return (order.removesuffix("/") for order in sorted(_entries(path, "")) if order.endswith("/"))

    def remove(self, name: str, etag: str) -> None:
        """Remove the version `etag` of an object. Raises ObjectChanged."""
        path = self._path(name)
        changed = ObjectChanged(f"{name}: somebody else changed it")
        with disk_errors(path):
            if _there(path) is None:  # nor need there be a directory for the lock
                raise changed
            with self._locked():
                there = _there(path)
                if there is None or _etag(there) != etag:
                    raise changed
                path.unlink()
            remove_left_aside(path.parent, [path.name])
            self._remove_empty(path.parent)

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects, what dead writers left of them, and the directories that become empty."""
        touched: dict[Path, list[str]] = {}
        for name in names:
            path = self._path(name)
            touched.setdefault(path.parent, []).append(path.name)
            with disk_errors(path), contextlib.suppress(*_NOT_THERE), self._locked():
                path.unlink()
        for directory, removed in touched.items():
            with disk_errors(directory):
                remove_left_aside(directory, removed)
                self._remove_empty(directory)

    def presign(self, name: str, seconds: int, *, filename: str | None = None) -> str | None:
        """None: nobody but Longwave serves a disk."""
        del name, seconds, filename
        return None

    def close(self) -> None:
        """Nothing to let go of."""

    def _path(self, name: str) -> Path:
        return self._root / check_name(name)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else, in any process, gives or takes a name meanwhile. Data is written before."""
        with (self._root / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _remove_empty(self, directory: Path) -> None:
        """Make removals in `directory` durable, and remove it and its parents as far as they are empty."""
        while directory != self._root:
            _sync(directory)
            try:
                directory.rmdir()
            except (FileNotFoundError, NotADirectoryError):
                pass  # somebody else has removed it, or it never was one
            except OSError as error:
                if error.errno in _IN_USE:
                    return
                raise
            directory = directory.parent
        _sync(directory)


def _walk(directory: Path, before: str, start: str) -> Iterator[ObjectInfo]:
    """What lies under a directory, whose name is `before`; at its top only what begins with `start`."""
    for order in sorted(_entries(directory, start)):
        piece = order.removesuffix("/")
        if piece != order:
            yield from _walk(directory / piece, before + order, "")
            continue
        with disk_errors(directory / piece):
            there = _there(directory / piece)
        if there:
            yield _info(before + piece, there)


def _entries(directory: Path, start: str) -> Iterator[str]:
    """The names in a directory, those of directories with the `/` that counts in the order of whole names."""
    with disk_errors(directory), contextlib.suppress(*_NOT_THERE), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(start) and legal_piece(entry.name):
                yield f"{entry.name}/" if entry.is_dir() else entry.name


def _there(path: Path) -> os.stat_result | None:
    """What the disk says of a file; None where there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _info(name: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(name, found.st_size, _etag(found), found.st_mtime)


def _etag(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _sync(directory: Path) -> None:
    """Make the names in a directory durable, unless somebody has removed it meanwhile."""
    with disk_errors(directory), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        sync_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(sync_fd)
        finally:
            os.close(sync_fd)
