"""Finishers of takes, and the documents that they write."""

from __future__ import annotations

import json

from contracts.metrics import Metrics
from storage.commit import TakeCommit
from storage.names import (
    RECORD,
    take_object,
)
from storage.objects import Objects
from tests.over_takes import KEY
from workers.archive.finish import Finisher

NOW = 1_767_300_000.0


def finisher(objects: Objects, metrics: Metrics | None = None) -> Finisher:
    return Finisher(objects, metrics, clock=lambda: NOW)


def document(objects: Objects, name: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(objects.read(take_object(KEY, name)).data)
    return loaded


def commit_of(objects: Objects) -> TakeCommit:
    return TakeCommit.from_json(document(objects, RECORD))
