"""A boto3 client as an S3Options wants it. It makes no request yet, and threads may share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from boto3.session import Session
from botocore.config import Config

from storage.s3_options import S3Options

if TYPE_CHECKING:  # the stubs are for development only
    from mypy_boto3_s3 import S3Client

# An S3 that is not AWS's has no regions, but a signature names one: most take this.
_NO_REGION: Final = "us-east-1"


def s3_client(options: S3Options, endpoint: str | None) -> S3Client:
    """A client for `endpoint`, None for AWS's own. Raises botocore's errors on settings that do not fit."""
    session = Session()
    region = options.region or session.region_name or (_NO_REGION if endpoint else None)
    path_style = options.path_style if options.path_style is not None else endpoint is not None
    wanted: Literal["when_supported", "when_required"] = (
        "when_supported" if options.checksums else "when_required"
    )
    config = Config(
        signature_version="s3v4",
        connect_timeout=options.connect_seconds,
        read_timeout=options.read_seconds,
        max_pool_connections=options.connections,
        retries={"mode": "standard", "total_max_attempts": options.attempts},
        tcp_keepalive=True,
        request_checksum_calculation=wanted,
        response_checksum_validation=wanted,
        s3={"addressing_style": "path" if path_style else "auto"},
    )
    return session.client("s3", region_name=region, endpoint_url=endpoint, config=config)
