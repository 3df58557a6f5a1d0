"""How an S3 is reached. Credentials are no part of it: they come from where AWS programs look for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class S3Options:
    """What a bucket's name does not say; the defaults are for AWS itself.

    `endpoint`            of another S3 (MinIO, Ceph, R2, …), such as `https://minio.example:9000`
    `public_endpoint`     the same storage as listeners reach it, where that differs; presigned URLs name it
    `region`              None: what the machine's AWS settings say
    `path_style`          bucket in the path, not in the host's name; None: with an endpoint
    `sse_kms_key`         id or ARN of the KMS key that encrypts objects; None: as the bucket does
    `checksums`           send and ask for SHA-256; False for a storage that refuses such headers
    `connect_seconds`, `read_seconds`   without an answer, for each of `attempts`
    `connections`         that are kept open: at least as many as threads call
    """

    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str | None = None
    path_style: bool | None = None
    sse_kms_key: str | None = None
    checksums: bool = True
    connect_seconds: float = 3.0
    read_seconds: float = 8.0
    attempts: int = 3
    connections: int = 16
