"""Every storage there is, and what many threads do to one at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from boto3.session import Session

from storage.disk_objects import DiskObjects
from storage.objects import Objects
from storage.s3_objects import S3Objects
from storage.s3_options import S3Options
from tests.s3_server import CREDENTIALS, s3_server

_SESSION = cache(Session)  # reading what boto knows of S3 takes longer than most tests


def names(objects: Objects, prefix: str = "") -> list[str]:
    return [info.name for info in objects.list(prefix)]


def together(count: int, work: Callable[[int], object]) -> list[object]:
    """What `work(0)` to `work(count - 1)` return, all begun in the same moment."""
    gate = threading.Barrier(count)

    def one(number: int) -> object:
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@contextmanager
def storage(
    kind: Literal["disk", "s3"], root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Objects]]:
    """What opens the same empty storage, as often as it is called."""
    objects: list[Objects] = []
    if kind == "s3":
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("storage.s3_client.Session", _SESSION)
        bucket = s3_server().new_bucket()

    def another() -> Objects:
        if kind == "s3":
            objects.append(S3Objects(bucket, "below/here", S3Options(endpoint=s3_server().url)))
        else:
            objects.append(DiskObjects(root / "data"))
        return objects[-1]

    try:
        yield another
    finally:
        for each in objects:
            each.close()
