"""What is kept of a take when it is over, as it lies in a storage that is a directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from contracts.take import TakeKey
from storage.names import RECORD, STORY, entry_name, take_object
from tests.cluster.bench import Bench, wait_for

_FINISHED_SECONDS = 60.0


def takes(bench: Bench, room: str) -> list[str]:
    """The takes of a room that anything is kept of."""
    return sorted({path.parent.name for path in _place(bench).glob(f"rooms/{room}/*/*.json")})


def story(bench: Bench, room: str, take: str, seconds: float = _FINISHED_SECONDS) -> Any:  # noqa: ANN401 - parsed JSON
    """What its owner told of a take, as soon as it has."""
    return _read(bench, take_object(TakeKey(room, take), STORY), seconds)


def replay(bench: Bench, room: str, take: str, seconds: float = _FINISHED_SECONDS) -> Any:  # noqa: ANN401 - parsed JSON
    """The commit mark of a take, `take.json`, as soon as its replay is in the catalogue."""
    key = TakeKey(room, take)
    wait_for((_place(bench) / entry_name(key)).exists, seconds)
    return _read(bench, take_object(key, RECORD), seconds)


def _read(bench: Bench, name: str, seconds: float) -> Any:  # noqa: ANN401 - parsed JSON
    path = _place(bench) / name
    wait_for(path.exists, seconds)
    return json.loads(path.read_bytes())


def _place(bench: Bench) -> Path:
    return Path(unquote(urlsplit(bench.storage).path))
