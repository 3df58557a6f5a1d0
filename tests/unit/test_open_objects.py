from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import UsageError
from storage.open import open_objects
from storage.s3_options import S3Options

OPTIONS = S3Options(region="eu-central-1")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (None, "file:///data"),
        ("file:///srv/a%20b", "file:///srv/a%20b"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/some/prefix/", "s3://bucket/some/prefix"),
    ],
)
def test_a_storage_is_opened_by_its_url(url: str | None, name: str) -> None:
    assert open_objects(url, Path("/data"), OPTIONS).name == name


@pytest.mark.parametrize(
    "url", ["", "bucket", "/data", "file://data", "file:data", "s3:///prefix", "s3://key:secret@bucket", "http://b/p",
            "s3://bucket/p?x=1", "s3://[", "s3://bucket/../x"],
)  # fmt: skip
def test_what_is_no_storage_is_refused_without_a_secret(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_objects(url, Path("/data"), OPTIONS)
    assert "s3://" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "endpoint", ["minio:9000", "https://key:secret@minio", "ftp://minio", "https://", ""]
)
@pytest.mark.parametrize("which", ["endpoint", "public_endpoint"])
def test_what_is_no_endpoint_is_refused_without_a_secret(which: str, endpoint: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_objects("s3://bucket", Path("/data"), S3Options(**{which: endpoint}))  # type: ignore[arg-type]
    assert "https://minio.example:9000" in caught.value.message
    assert "secret" not in caught.value.message


def test_boto_is_loaded_by_those_only_who_use_s3() -> None:
    code = (
        "import sys, pathlib, storage.open as o;"
        "o.open_objects(None, pathlib.Path('/data'), o.S3Options());"
        "assert not any(name.startswith('boto') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
