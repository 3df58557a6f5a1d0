"""Records of takes that are over: `DATA/rooms/{room}/{take}/take.json`, written once and never again."""

from __future__ import annotations

import json
from pathlib import Path

from contracts.ids import check_room, check_take
from contracts.take import TakeKey
from storage.files import read_if_there, write_once
from storage.take_record import TakeRecord


class TakeRecords:
    """The records of one data directory; `root` is where its rooms are. Blocking: call it from a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, record: TakeRecord) -> bool:
        """Keep a record, durably; False where the take has one, which stays. Raises DiskUnavailable."""
        data = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False)
        # Half a surrogate pair, which UTF-8 cannot hold, becomes JSON's escape for it.
        return write_once(self._path(record.key), data.encode(errors="backslashreplace") + b"\n")

    def read(self, key: TakeKey) -> bytes | None:
        """A record as it lies on the disk; None while its take is not over, or is not known.

        Raises DiskUnavailable, or BadRequest where no take can have such a name.
        """
        return read_if_there(self._path(key))

    def _path(self, key: TakeKey) -> Path:
        return self._root / check_room(key.room) / check_take(key.take) / "take.json"
