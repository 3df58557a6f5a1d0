"""A storage by its URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from contracts.errors import UsageError
from storage.disk_objects import DiskObjects
from storage.objects import Objects
from storage.s3_options import S3Options


def open_objects(url: str | None, data_dir: Path, s3: S3Options) -> Objects:
    """The storage at `url`: `s3://bucket/prefix`, `file:///path`, or None for the data directory.

    Raises UsageError where it is no such URL; StorageUnavailable where AWS settings do not fit.
    """
    if url is None:
        return DiskObjects(data_dir)
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    path = unquote(parts.path)
    if parts.scheme == "file" and not parts.netloc and path.startswith("/"):
        return DiskObjects(Path(path))
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(
            "a storage is s3://bucket/prefix or file:///path; S3's credentials have their own settings"
        )
    for endpoint in (s3.endpoint, s3.public_endpoint):
        _check_endpoint(endpoint)
    # boto3 costs 0.3 s and 25 MB: only who uses S3 pays for it.
    from storage.s3_objects import S3Objects  # noqa: PLC0415

    try:
        return S3Objects(parts.netloc, path.strip("/"), s3)
    except ValueError as error:
        raise UsageError(f"the storage {url} cannot be: {error}") from None


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is None:
        return
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise UsageError(
            "an S3 endpoint is a URL such as https://minio.example:9000, without credentials in it"
        )
