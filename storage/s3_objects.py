"""Objects in S3, AWS's or any other: one bucket, under a prefix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from botocore.exceptions import ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError

from contracts.errors import ObjectDamaged, StorageUnavailable
from storage.legal_names import check_directory, check_name, check_prefix, legal_piece
from storage.names import content_type
from storage.objects import Content, ObjectChanged, ObjectInfo, ObjectMissing
from storage.s3_client import s3_client
from storage.s3_errors import code_of, reason_of, s3_errors, was_repeated
from storage.s3_options import S3Options
from storage.s3_writer import Refused, S3Writer, Written

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED: Final = frozenset({"412", "PreconditionFailed"})
_BEYOND: Final = frozenset({"416", "InvalidRange", "RequestedRangeNotSatisfiable"})
_UNABLE: Final = frozenset({"501", "NotImplemented"})
_AT_ONCE: Final = 1000
"""Names of a page, and of a removal: as many as S3 takes."""


class S3Objects:
    """Objects in `bucket`, their keys beginning with `prefix/`. Any number of threads and processes use it.

    Beside what `Objects` says, all methods raise ValueError for a name that no object can have, and `read`
    ObjectDamaged where the bytes of a whole object are not those of its checksum.
    """

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        self._bucket = bucket
        self._prefix = f"{check_name(prefix)}/" if prefix else ""
        self._where = self.name + (f" at {options.endpoint}" if options.endpoint else "")
        self._attempts = options.attempts
        self._seen = False
        with s3_errors(self._where):
            self._client = s3_client(options, options.endpoint)
            public = options.public_endpoint
            self._public = s3_client(options, public) if public else self._client
        self._writer = S3Writer(self._client, bucket, options)

    @property
    def name(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put_new(self, name: str, data: bytes) -> bool:
        """Keep an object under a name that is free; False where it is taken."""
        key = self._key(name)
        try:
            with s3_errors(self._where):
                self._writer.put(key, data, IfNoneMatch="*")
        except Refused:
            return False
        return True

    def replace(self, name: str, data: bytes, etag: str | None) -> ObjectInfo:
        """Keep an object in place of the version `etag`. Raises ObjectChanged."""
        key = self._key(name)
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            with s3_errors(self._where):
                return _info(name, self._writer.put(key, data, **condition))
        except Refused:
            raise ObjectChanged(f"{name}: somebody else changed it") from None

    def write(self, name: str, chunks: Iterable[bytes]) -> ObjectInfo:
        """Keep the joined chunks, whatever was there."""
        key = self._key(name)
        with s3_errors(self._where):
            return _info(name, self._writer.upload(key, chunks))

    def read(self, name: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Content:
        """Bytes [start, stop) of an object. Raises ObjectMissing, -Changed, -Damaged, ValueError."""
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Key": self._key(name)}
        if start < 0 or (stop is not None and stop < start):
            raise ValueError(f"{name}: bytes {start} to {stop}")
        if start == stop:
            return self._nothing_of(name, start, etag)
        if start or stop is not None:
            wanted["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        if etag is not None:
            wanted["IfMatch"] = etag
        with s3_errors(self._where):
            try:
                return self._get(name, wanted)
            except ClientError as error:
                code = code_of(error)
                if code in _MISSING:
                    raise ObjectMissing(f"{name}: no such object") from None
                if code in _CHANGED:
                    raise ObjectChanged(f"{name}: somebody else changed it") from None
                if code not in _BEYOND:
                    raise
        return self._nothing_of(name, start, etag)

    def head(self, name: str) -> ObjectInfo | None:
        """What there is under a name."""
        key = self._key(name)
        with s3_errors(self._where):
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
                self._look_for_bucket()
                return None
        return ObjectInfo(name, found["ContentLength"], found["ETag"], found["LastModified"].timestamp())

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose names begin with `prefix`, by code point: the order of UTF-8, which is S3's."""
        return self._list(self._prefix + check_prefix(prefix))

    def children(self, directory: str) -> Iterator[str]:
        """What lies below a directory and holds objects itself; a thousand a request."""
        return self._children(self._prefix + check_directory(directory))

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects. In a bucket with versions only its lifecycle rules remove the older ones."""
        keys = (self._key(name) for name in names)
        while batch := [*islice(keys, _AT_ONCE)]:
            with s3_errors(self._where):
                answer = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
            if failed := answer.get("Errors"):
                reason = reason_of(failed[0].get("Code", ""))
                raise StorageUnavailable(f"{self._where}: {len(failed)} objects are not deleted: {reason}")

    def remove(self, name: str, etag: str) -> None:
        """Remove the version `etag` of an object. Raises ObjectChanged."""
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Key": self._key(name)}
        there = self.head(name)  # S3s that are not Amazon's may not heed the condition
        if there is None or there.etag != etag:
            raise ObjectChanged(f"{name}: somebody else changed it")
        with s3_errors(self._where):
            try:
                self._client.delete_object(**wanted, IfMatch=etag)
            except ClientError as error:
                code = code_of(error)
                if code in _UNABLE:
                    self._client.delete_object(**wanted)
                elif code not in _MISSING | _CHANGED:
                    raise
                elif code in _CHANGED or not was_repeated(error):
                    raise ObjectChanged(f"{name}: somebody else changed it") from None

    def presign(self, name: str, seconds: int, *, filename: str | None = None) -> str | None:
        """A URL by which anybody may read an object for `seconds`, a week at most."""
        wanted = {"Bucket": self._bucket, "Key": self._key(name), "ResponseContentType": content_type(name)}
        if filename is not None:
            # RFC 6266, RFC 8187: the bytes of UTF-8, so that nothing in a title can end the header.
            wanted["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        with s3_errors(self._where):
            return self._public.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()
        self._public.close()

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _get(self, name: str, wanted: dict[str, Any]) -> Content:
        """The answer to a GET, whole: boto repeats requests, but not for an answer that broke off."""
        for tries_left in reversed(range(self._attempts)):
            answer = self._client.get_object(**wanted)
            try:
                with closing(answer["Body"]) as body:
                    data = body.read()
            except FlexibleChecksumError as error:
                if not tries_left:
                    raise ObjectDamaged(f"{name}: its bytes are not those that were stored") from error
            except (HTTPClientError, IncompleteReadError):
                if not tries_left:
                    raise
            else:
                size = int(answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2])
                return Content(
                    data, ObjectInfo(name, size, answer["ETag"], answer["LastModified"].timestamp())
                )
        raise AssertionError  # the last try returns or raises

    def _nothing_of(self, name: str, start: int, etag: str | None) -> Content:
        """No bytes at `start`: HTTP has no range for that."""
        info = self.head(name)
        if info is None:
            raise ObjectMissing(f"{name}: no such object")
        if etag not in {None, info.etag}:
            raise ObjectChanged(f"{name}: somebody else changed it")
        if start > info.size:
            raise ValueError(f"{name}: bytes from {start} of {info.size}")
        return Content(b"", info)

    def _list(self, start: str) -> Iterator[ObjectInfo]:
        for page in self._pages(start):
            for each in page.get("Contents", ()):
                name = each["Key"].removeprefix(self._prefix)
                if all(map(legal_piece, name.split("/"))):  # others may keep things of their own here
                    yield ObjectInfo(name, each["Size"], each["ETag"], each["LastModified"].timestamp())

    def _children(self, start: str) -> Iterator[str]:
        for page in self._pages(start, Delimiter="/"):
            for each in page.get("CommonPrefixes", ()):
                piece = each["Prefix"].removeprefix(start).removesuffix("/")
                if legal_piece(piece):
                    yield piece

    def _pages(self, start: str, **more: str) -> Iterator[dict[str, Any]]:
        """A listing of all keys that begin with `start`, as S3 gives it."""
        paginator = self._client.get_paginator("list_objects_v2")
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Prefix": start, **more}
        pages = iter(paginator.paginate(**wanted, PaginationConfig={"PageSize": _AT_ONCE}))
        while True:
            with s3_errors(self._where):
                page = next(pages, None)
            if page is None:
                return
            yield dict(page)

    def _look_for_bucket(self) -> None:
        """Tell a missing object from a missing bucket, which HEAD cannot: it has no body to say so."""
        if self._seen:
            return
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if code_of(error) in _MISSING:
                raise StorageUnavailable(f"{self._where}: {reason_of('NoSuchBucket')}") from None
            raise
        self._seen = True


def _info(name: str, written: Written) -> ObjectInfo:
    return ObjectInfo(name, written.size, written.etag, written.modified)
