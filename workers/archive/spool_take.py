"""One take in the spool: `header.json`, `{rendition}/{first_msn}.mp4`, `peaks.bin`, `lost.jsonl`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from contracts.errors import LongwaveError
from contracts.position import Position
from contracts.take import TakeHeader
from pipeline.grid import Grid
from storage.files import disk_errors, read_if_there
from storage.names import FRAGMENT_SEGMENTS, fragment_of
from workers.archive.fragment_file import Place, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from contracts.take import TakeKey
    from pipeline.segmenter import EncodedPart
    from storage.take_record import Span
    from workers.archive.spool_disk import SpoolDisk

log = structlog.get_logger()

_HEADER = "header.json"
_PEAKS = "peaks.bin"
_LOST = "lost.jsonl"


@dataclass(slots=True)
class _File:
    """A fragment's file as far as it is whole; `places` is None until what was left in it is read."""

    path: Path
    size: int = 0
    places: dict[Position, Place] | None = field(default_factory=dict)


class SpoolTake:
    """Blocking, for any thread. What is done raises DiskUnavailable, and may be tried again.

    `refusals` says of a segment why some of it was not taken in time; `behind` is set with each of them.
    """

    def __init__(self, directory: Path, key: TakeKey, disk: SpoolDisk) -> None:
        self.key = key
        self.refusals: dict[int, str] = {}
        self.behind = False
        self._directory = directory
        self._disk = disk
        self._lock = threading.RLock()
        self._header: TakeHeader | None = None
        self._grid: Grid | None = None
        self._files: dict[tuple[str, int], _File] | None = None

    # ---- what is written ---------------------------------------------------------------------------------

    def begin(self, header: TakeHeader) -> None:
        """Say what take this is: before anything else of it."""
        with self._lock:
            self._look()
            if self._header is not None:
                return
            # What is there can be read from now on, also if the header cannot be written.
            self._grid = Grid(header.settings.parts)
            aside, path = self._directory / f".{_HEADER}", self._directory / _HEADER
            with disk_errors(path):
                self._directory.mkdir(parents=True, exist_ok=True)
                aside.write_bytes(json.dumps(header.to_json()).encode() + b"\n")
                aside.replace(path)
            for touched in (path, self._directory, self._directory.parent, self._directory.parent.parent):
                self._disk.touch(touched)
            self._header = header

    def write(self, parts: Iterable[EncodedPart]) -> None:
        """Keep parts; one that is there already stays as it is. Raises SpoolFull."""
        by_file: dict[tuple[str, int], list[EncodedPart]] = {}
        for part in parts:
            by_file.setdefault((part.rendition, fragment_of(part.msn)), []).append(part)
        with self._lock:
            for name, chosen in by_file.items():
                self._write(name, chosen)

    def write_peaks(self, offset: int, records: bytes) -> None:
        """Keep what was measured of the waveform: records from byte `offset` on."""
        self._overwrite(self._directory / _PEAKS, offset, records)

    def note_lost(self, lost: Iterable[tuple[Span, str]]) -> None:
        """Note what will never be archived, and why."""
        path = self._directory / _LOST
        lines = [json.dumps({"from": span[0], "to": span[1], "why": why}) + "\n" for span, why in lost]
        with self._lock, disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
        self._disk.touch(path)

    def remove(self, rendition: str, first: int) -> None:
        """Let go of a fragment that is in the storage."""
        with self._lock:
            file = self._look().get((rendition, first))
            if file is None:
                return
            with disk_errors(file.path):
                file.path.unlink(missing_ok=True)
            del self._look()[rendition, first]
            self._disk.release(file.size)

    def clear(self) -> None:
        """Remove all of it."""
        with self._lock:
            for rendition, first in [*self._look()]:
                self.remove(rendition, first)
            with disk_errors(self._directory):
                # Without a header it is no take any more, even if the rest of this is cut short.
                (self._directory / _HEADER).unlink(missing_ok=True)
                shutil.rmtree(self._directory, ignore_errors=True)
            with contextlib.suppress(OSError):  # other takes of the room are there
                self._directory.parent.rmdir()
            self._header, self._files = None, None

    # ---- what is there -----------------------------------------------------------------------------------

    def header(self) -> TakeHeader | None:
        """What take it is; None where nothing was begun."""
        with self._lock:
            self._look()
            return self._header

    def fragments(self) -> list[tuple[str, int]]:
        """Rendition and first segment of every fragment of which there is something, oldest first."""
        with self._lock:
            return sorted(self._look(), key=lambda name: (name[1], name[0]))

    @property
    def segments(self) -> int:
        """Of the fragments of which something is here. Waits neither for a lock nor for the disk."""
        return FRAGMENT_SEGMENTS * len({first for _, first in tuple(self._files or ())})

    def positions(self, rendition: str, first: int) -> set[Position]:
        """The parts of a fragment that are here."""
        with self._lock:
            file = self._look().get((rendition, first))
            return set() if file is None else set(self._open(file, first))

    def read(self, rendition: str, first: int) -> dict[Position, bytes]:
        """The parts of a fragment that are here, and what they hold."""
        with self._lock:
            file = self._look().get((rendition, first))
            if file is None:
                return {}
            places = self._open(file, first)
            data = read_if_there(file.path) or b""
            whole = {position: place for position, place in places.items() if place.stop <= len(data)}
            return {position: data[place.start : place.stop] for position, place in whole.items()}

    def peaks(self) -> bytes:
        """The records of the waveform."""
        return read_if_there(self._directory / _PEAKS) or b""

    def lost(self) -> list[tuple[Span, str]]:
        """What was noted as lost; a line that is not whole was not noted."""
        data = read_if_there(self._directory / _LOST) or b""
        notes: list[tuple[Span, str]] = []
        for line in data.decode(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                note: Any = json.loads(line)
                notes.append(((int(note["from"]), int(note["to"])), str(note["why"])))
        return notes

    # ---- inside ------------------------------------------------------------------------------------------

    def _look(self) -> dict[tuple[str, int], _File]:
        """The files there are; found out when somebody first asks."""
        if self._files is not None:
            return self._files
        files: dict[tuple[str, int], _File] = {}
        with disk_errors(self._directory):
            for path in self._directory.glob("*/*.mp4"):
                if path.stem.isdigit():
                    size = path.stat().st_size
                    files[path.parent.name, int(path.stem)] = _File(path, size, None)
        self._header = self._read_header()
        if self._header is not None:
            self._grid = Grid(self._header.settings.parts)
        self._disk.found(sum(file.size for file in files.values()))
        self._files = files
        return files

    def _read_header(self) -> TakeHeader | None:
        data = read_if_there(self._directory / _HEADER)
        try:
            return None if data is None else TakeHeader.from_json(json.loads(data))
        except (LongwaveError, ValueError, RecursionError) as error:
            log.error("a take in the spool cannot be read", path=str(self._directory), reason=str(error))  # noqa: TRY400
            return None

    def _open(self, file: _File, first: int) -> dict[Position, Place]:
        """Where its parts lie. What an earlier process left is read, and cut behind the last whole part."""
        if file.places is None:
            if self._grid is None:
                return {}
            found = scan(read_if_there(file.path) or b"", self._grid, first)
            if found.size < file.size:
                log.warning("a file in the spool is cut at its last whole part", path=str(file.path))
                with disk_errors(file.path):
                    os.truncate(file.path, found.size)
            self._disk.release(file.size - found.size)
            file.places, file.size = found
        return file.places

    def _write(self, name: tuple[str, int], parts: Sequence[EncodedPart]) -> None:
        rendition, first = name
        file = self._look().get(name)
        if file is None:
            file = _File(self._directory / rendition / f"{first}.mp4")
            with disk_errors(file.path):
                file.path.parent.mkdir(parents=True, exist_ok=True)
            self._disk.touch(file.path.parent)
            self._disk.touch(self._directory)
            self._look()[name] = file
        places = self._open(file, first)
        new = {Position(part.msn, part.part): part.data for part in parts}
        new = {position: data for position, data in new.items() if position not in places}
        data = b"".join(new.values())
        if not data:
            return
        self._disk.claim(len(data))
        try:
            self._overwrite(file.path, file.size, data)
        except LongwaveError:
            self._disk.release(len(data))
            raise
        for position, bytes_ in new.items():
            places[position] = Place(file.size, file.size + len(bytes_))
            file.size += len(bytes_)

    def _overwrite(self, path: Path, offset: int, data: bytes) -> None:
        with self._lock, disk_errors(path):
            # Opened each time: a file a fragment would be too many for hundreds of takes.
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                done = 0
                while done < len(data):
                    done += os.pwrite(file, data[done:] if done else data, offset + done)
            finally:
                os.close(file)
        self._disk.touch(path)
