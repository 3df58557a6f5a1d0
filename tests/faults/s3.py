"""A server that archives into S3, with a storage before it that goes wrong on command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from storage.objects import Objects
from storage.open import open_objects
from storage.s3_options import S3Options
from tests.faulty_proxy import FaultyProxy
from tests.s3_server import CREDENTIALS, s3_server
from tests.server import Server


@dataclass(frozen=True)
class InS3:
    """A server, not started; what is before its storage; and the storage itself, which never fails."""

    server: Server
    proxy: FaultyProxy
    objects: Objects


@contextmanager
def in_s3(data_dir: Path, **settings: str) -> Iterator[InS3]:
    """A server whose storage is a bucket of its own, with more `settings` such as LONGWAVE_SPOOL_MB."""
    url = f"s3://{s3_server().new_bucket()}/takes"
    with FaultyProxy(s3_server().port) as proxy, mock.patch.dict(os.environ, CREDENTIALS):
        place = {"LONGWAVE_STORAGE": url, "LONGWAVE_S3_ENDPOINT": proxy.url}
        objects = open_objects(url, data_dir, S3Options(endpoint=s3_server().url))
        try:
            yield InS3(Server(data_dir, env=place | CREDENTIALS | settings), proxy, objects)
        finally:
            objects.close()
