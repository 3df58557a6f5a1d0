"""Where the window lies on disk, and how its files are appended to, read and removed.

    DIRECTORY/{room}/{take}/take.lwj            header, init segments, events, end
    DIRECTORY/{room}/{take}/media-{group}.lwj   parts, segments and gaps of 32 sequence numbers

Everything is appended; what leaves the window goes by deleting whole files. Nothing is fsynced: a killed
process loses nothing that was written, and after a power cut the sequence numbers that were reserved on
disk keep every lost URL from getting other bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import BadRequest
from contracts.ids import check_room, check_take
from contracts.take import TakeHeader, TakeKey
from origin.journal_format import GROUP, MEDIA_KINDS, Record, RecordKind, pack, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

log = structlog.get_logger()

_CONTROL: Final = "take.lwj"
_MEDIA: Final = "media-{:012d}.lwj"


@dataclass(frozen=True, slots=True)
class StoredTake:
    """A take found on disk. `control` and `media` are in the order in which they were put."""

    key: TakeKey
    header: TakeHeader
    control: tuple[Record, ...]
    media: tuple[Record, ...]


class JournalStore:
    """The files. Every method blocks and raises OSError: not for the live path."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path_of(self, key: TakeKey, record: Record) -> Path:
        """The file that `record` belongs to."""
        name = _MEDIA.format(record.number // GROUP) if record.kind in MEDIA_KINDS else _CONTROL
        return self._take(key) / name

    def append(self, path: Path, records: Iterable[Record]) -> None:
        """Append records, all or none: what a full disk cut short is taken back."""
        data = memoryview(pack(records))
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def evict(self, key: TakeKey, first: int) -> None:
        """Delete the media files whose sequence numbers all lie below `first`."""
        oldest = _MEDIA.format(first // GROUP)
        for path in self._take(key).glob("media-*.lwj"):
            if path.name < oldest:
                path.unlink(missing_ok=True)

    def remove(self, key: TakeKey) -> None:
        """Delete everything of a take."""
        take = self._take(key)
        if take.exists():
            shutil.rmtree(take)
        with contextlib.suppress(OSError):
            take.parent.rmdir()  # only if it was the room's last take

    def load(self) -> Iterator[StoredTake]:
        """All takes, oldest first. A torn tail is cut off, damage in the middle skipped; both are logged."""
        found: list[tuple[int, TakeKey, StoredTake]] = []
        for path in sorted(self._directory.glob("*/*/")):
            stored = self._load_take(path)
            if stored is not None:
                found.append((stored.header.epoch_us, stored.key, stored))
        for _, _, stored in sorted(found, key=lambda entry: entry[:2]):
            yield stored

    def _load_take(self, path: Path) -> StoredTake | None:
        control = tuple(_load_file(path / _CONTROL))
        try:
            key = TakeKey(check_room(path.parent.name), check_take(path.name))
            header = next(record for record in control if record.kind is RecordKind.HEADER)
            parsed = TakeHeader.from_json(json.loads(header.payload))
        except (BadRequest, StopIteration, ValueError) as error:
            log.warning("no take in this directory of the journal", path=str(path), reason=repr(error))
            return None
        media = tuple(record for file in sorted(path.glob("media-*.lwj")) for record in _load_file(file))
        return StoredTake(key, parsed, control, media)

    def _take(self, key: TakeKey) -> Path:
        return self._directory / key.room / key.take


def _load_file(path: Path) -> tuple[Record, ...]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        log.warning("a file of the journal cannot be read", path=str(path), reason=str(error))
        return ()
    result = scan(data)
    if result.damaged:
        log.warning("damage in the journal was skipped", path=str(path), bytes=result.damaged)
    if result.good_end < len(data):
        log.warning("a torn tail was cut off the journal", path=str(path), bytes=len(data) - result.good_end)
        with contextlib.suppress(OSError):
            os.truncate(path, result.good_end)
    return result.records
