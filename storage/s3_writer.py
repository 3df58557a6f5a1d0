"""Writing into S3: one PUT, conditional where it has to be, or an upload that holds one part at a time."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from contracts.errors import LongwaveError
from storage.names import content_type
from storage.s3_errors import code_of, was_repeated
from storage.s3_options import S3Options

if TYPE_CHECKING:  # the stubs are for development only
    from mypy_boto3_s3 import S3Client

log = structlog.get_logger()

PART: Final = 8 * 1024 * 1024
"""Bytes of an upload's part. S3 takes none under 5 MB but the last, and at most 10,000."""
_CACHE_CONTROL: Final = "public, max-age=60"
_WRITE_ID: Final = "longwave-write"
"""Metadata by which a write knows its own object again, when the answer to its first try was lost."""
_REFUSED: Final = frozenset({"412", "PreconditionFailed", "404", "NoSuchKey"})
_CONFLICT: Final = frozenset({"409", "ConditionalRequestConflict", "OperationAborted"})
_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds. S3 refuses a conditional write while another one is under way, and wants it again (409)."""


class Refused(LongwaveError):
    """The condition of a write does not hold. Handled inside."""


@dataclass(frozen=True, slots=True)
class Written:
    """What S3 says of an object that it has just taken. `modified` is in seconds since 1970."""

    size: int
    etag: str
    modified: float


@dataclass(frozen=True, slots=True)
class S3Writer:
    """Writes into one bucket. Keys are whole, with their prefix. Raises botocore's errors."""

    client: S3Client
    bucket: str
    options: S3Options

    def put(self, key: str, data: bytes | bytearray, **condition: str) -> Written:
        """One PUT; `condition` is `IfMatch` or `IfNoneMatch`. Raises Refused where that does not hold."""
        write_id = uuid4().hex
        arguments = self._about(key, write_id) | self._body(data) | condition
        repeated = False
        for pause in (*_PAUSES, None):
            try:
                return _written(len(data), self.client.put_object(**arguments))
            except ClientError as error:
                repeated = repeated or was_repeated(error)
                if condition and code_of(error) in _REFUSED:
                    return self._mine(key, write_id, len(data), repeated=repeated)
                if not condition or code_of(error) not in _CONFLICT or pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError  # the last try returns or raises

    def upload(self, key: str, chunks: Iterable[bytes]) -> Written:
        """The joined chunks, in parts where one PUT would hold too much. Errors of `chunks` are passed on."""
        write_id = uuid4().hex
        upload: dict[str, Any] = {}
        done: list[Any] = []
        size = 0
        try:
            for part in _parts(chunks):
                if not upload and len(part) < PART:
                    return self.put(key, part)
                upload = upload or self._begin(key, write_id)
                size += len(part)
                done.append(self._upload_part(upload, len(done) + 1, part))
                del part  # before the next one is gathered
            return self._complete(upload, done, write_id, size)
        except BaseException:
            if upload:
                self._abort(upload)
            raise

    def _begin(self, key: str, write_id: str) -> dict[str, Any]:
        """What names an upload that has begun."""
        arguments = self._about(key, write_id)
        if self.options.checksums:
            arguments["ChecksumAlgorithm"] = "SHA256"
        answer = self.client.create_multipart_upload(**arguments)
        return {"Bucket": self.bucket, "Key": key, "UploadId": answer["UploadId"]}

    def _upload_part(self, upload: dict[str, Any], number: int, part: bytearray) -> dict[str, Any]:
        """What names a part that is there."""
        body = self._body(part)
        answer = self.client.upload_part(**upload, **body, PartNumber=number)
        checksum = {name: value for name, value in body.items() if name == "ChecksumSHA256"}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

    def _complete(self, upload: dict[str, Any], done: list[Any], write_id: str, size: int) -> Written:
        try:
            answer = self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
        except ClientError as error:
            if code_of(error) == "NoSuchUpload" and was_repeated(error):
                return self._mine(upload["Key"], write_id, size, repeated=True)
            raise
        return _written(size, answer)

    def _abort(self, upload: dict[str, Any]) -> None:
        try:
            self.client.abort_multipart_upload(**upload)
        except (BotoCoreError, ClientError) as error:
            log.warning(
                "parts of an upload stay behind in S3; a lifecycle rule of the bucket can remove such",
                key=upload["Key"],
                reason=type(error).__name__,
            )

    def _mine(self, key: str, write_id: str, size: int, *, repeated: bool) -> Written:
        """What is there, where it is of this write: of a try whose answer was lost. Raises Refused."""
        if repeated:
            try:
                answer = self.client.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if code_of(error) not in _REFUSED:
                    raise
            else:
                if answer["Metadata"].get(_WRITE_ID) == write_id:
                    return Written(size, answer["ETag"], answer["LastModified"].timestamp())
        raise Refused(f"{key}: somebody else changed it")

    def _about(self, key: str, write_id: str) -> dict[str, Any]:
        """What goes with an object."""
        about: dict[str, Any] = {
            "Bucket": self.bucket,
            "Key": key,
            "ContentType": content_type(key),
            "CacheControl": _CACHE_CONTROL,
            "Metadata": {_WRITE_ID: write_id},
        }
        if self.options.sse_kms_key:
            # With a bucket key S3 asks KMS once in a while, not for every object.
            about |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.options.sse_kms_key}
            about["BucketKeyEnabled"] = True
        return about

    def _body(self, data: bytes | bytearray) -> dict[str, Any]:
        """What is sent, and its checksum."""
        if not self.options.checksums:
            return {"Body": data}
        # Given ready it is a header; boto's own follows the body, in a form that few others than AWS take.
        checksum = b64encode(sha256(data).digest()).decode()
        return {"Body": data, "ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}


def _parts(chunks: Iterable[bytes]) -> Iterator[bytearray]:
    """The same bytes in pieces of PART; the last one has the rest, and there is always one."""
    part, any_yet = bytearray(), False
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            taken = view[: PART - len(part)]
            part += taken
            view = view[len(taken) :]
            if len(part) == PART:
                yield part
                part, any_yet = bytearray(), True
    if part or not any_yet:
        yield part


def _written(size: int, answer: Any) -> Written:  # noqa: ANN401 - two kinds of answer, alike in this
    # The instant of the answer, by S3's own clock: to a second what it will say of the object.
    date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    return Written(size, answer["ETag"], parsedate_to_datetime(date).timestamp())
