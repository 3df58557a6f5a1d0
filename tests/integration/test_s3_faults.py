"""S3 that fails: what each operation does then, over real HTTP through a proxy that fails on command."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

import pytest
from boto3.session import Session
from botocore.exceptions import ClientError

from contracts.errors import ObjectDamaged, StorageUnavailable
from storage import s3_writer
from storage.objects import ObjectChanged
from storage.s3_errors import s3_errors
from storage.s3_objects import S3Objects
from storage.s3_options import S3Options
from tests.faulty_proxy import Fault, FaultyProxy
from tests.s3_server import CREDENTIALS, s3_server

pytestmark = pytest.mark.faults
_SESSION = cache(Session)  # reading what boto knows of S3 takes longer than most tests
_PART: Final = 50_000
_LARGE: Final = 90_000
_ONCE: Final = (Fault.DELAY, Fault.UNAVAILABLE, Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.CUT_ANSWER)

# What is done to a storage that holds "there" (b"old"), and what must be true of it then.
OPERATIONS: Final[Mapping[str, Callable[[S3Objects], bool]]] = {
    "put_new": lambda s3: s3.put_new("new", b"data") and s3.read("new").data == b"data",
    "put_new, taken": lambda s3: not s3.put_new("there", b"data") and s3.read("there").data == b"old",
    "replace": lambda s3: s3.replace("there", b"data", _etag(s3)).etag == s3.read("there").info.etag,
    "replace, nothing": lambda s3: s3.replace("new", b"data", None).etag == s3.read("new").info.etag,
    "write": lambda s3: s3.write("there", [b"da", b"ta"]).size == 4 == s3.read("there").info.size,
    "write, large": lambda s3: (
        s3.write("there", [bytes(_LARGE)]).size == _LARGE == len(s3.read("there").data)
    ),
    "read": lambda s3: s3.read("there").data == b"old",
    "read, range": lambda s3: s3.read("there", 1, 2).data == b"l",
    "head": lambda s3: _etag(s3) != "" and s3.head("nothing") is None,
    "list": lambda s3: [info.name for info in s3.list("")] == ["there"],
    "delete": lambda s3: s3.delete(["there", "nothing"]) is None and [*s3.list("")] == [],  # type: ignore[func-returns-value]
}


def _etag(s3: S3Objects) -> str:
    info = s3.head("there")
    return info.etag if info else ""


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    with FaultyProxy(s3_server().port) as proxy:
        yield proxy


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("storage.s3_client.Session", _SESSION)
    # boto waits up to a second before it asks again; what it does then is the same sooner.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    monkeypatch.setattr(s3_writer, "PART", _PART)
    bucket = s3_server().new_bucket()
    S3Objects(bucket, "", S3Options(endpoint=s3_server().url)).put_new("there", b"old")
    return bucket


@pytest.fixture
def open_s3(proxy: FaultyProxy, bucket: str) -> Iterator[Callable[..., S3Objects]]:
    """Opens the bucket through the proxy, with options."""
    opened: list[S3Objects] = []

    def open_it(**options: float) -> S3Objects:
        opened.append(S3Objects(bucket, "", S3Options(endpoint=proxy.url, **options)))  # type: ignore[arg-type]
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


@pytest.fixture
def s3(open_s3: Callable[..., S3Objects]) -> S3Objects:
    return open_s3()


@pytest.fixture
def impatient(open_s3: Callable[..., S3Objects]) -> S3Objects:
    return open_s3(read_seconds=0.2, connect_seconds=0.3, attempts=2)


@pytest.fixture
def direct(bucket: str) -> Iterator[S3Objects]:
    """The same bucket, without the proxy."""
    objects = S3Objects(bucket, "", S3Options(endpoint=s3_server().url))
    yield objects
    objects.close()


def is_clear(error: StorageUnavailable, *words: str) -> None:
    """One line that says which storage it is and what to do, and no secret."""
    assert error.message.startswith("s3://test-")
    assert "\n" not in error.message
    assert len(error.message) < 300
    assert not any(secret in error.message for secret in list(CREDENTIALS.values())[:2])
    assert all(word in error.message for word in words), error.message


# ---- once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", _ONCE)
def test_what_fails_once_is_not_noticed(
    fault: Fault, proxy: FaultyProxy, s3: S3Objects, direct: S3Objects
) -> None:
    for name, operation in OPERATIONS.items():
        direct.write("there", [b"old"])
        direct.delete(["new"])
        proxy.clear()
        rule = proxy.add(fault, times=1, seconds=0.05)
        assert operation(s3), name
        assert rule.used == 1, name


@pytest.mark.parametrize(
    "request_", ["POST uploads", "PUT partNumber=1", "PUT partNumber=2", "POST uploadId="]
)
@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.CUT_AFTER])
def test_an_upload_survives_a_fault_in_any_of_its_requests(
    fault: Fault, request_: str, proxy: FaultyProxy, s3: S3Objects, direct: S3Objects
) -> None:
    method, part_of_path = request_.split()
    rule = proxy.add(fault, method=method, path=part_of_path, times=1)
    info = s3.write("there", [b"\1" * _PART, b"\2" * 1000])
    assert rule.used == 1
    found = direct.read("there")
    assert found.data == b"\1" * _PART + b"\2" * 1000
    assert found.info.etag == info.etag


def test_a_write_that_was_repeated_does_not_take_anothers_object_for_its_own(
    proxy: FaultyProxy, s3: S3Objects
) -> None:
    proxy.add(Fault.UNAVAILABLE, method="PUT", times=2)
    assert s3.put_new("there", b"old") is False
    with pytest.raises(ObjectChanged):
        s3.replace("there", b"old", None)


def test_a_request_that_hangs_is_given_up_and_made_again(
    proxy: FaultyProxy, open_s3: Callable[..., S3Objects]
) -> None:
    s3 = open_s3(read_seconds=0.4, attempts=6)
    for fault in (Fault.HANG, Fault.HANG_AFTER):
        proxy.add(fault, times=1)
        assert s3.put_new(fault.name, b"data") is True
    proxy.add(Fault.HANG, method="GET", times=1)
    assert s3.read("HANG_AFTER").data == b"data"


def test_a_conditional_write_that_collides_is_made_again(
    proxy: FaultyProxy, s3: S3Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_writer, "_PAUSES", (0.001,) * 5)
    for operation in ("put_new", "put_new, taken", "replace"):
        rule = proxy.add(Fault.CONFLICT, method="PUT", times=3)
        assert OPERATIONS[operation](s3)
        assert rule.used == 3
    proxy.add(Fault.CONFLICT, method="PUT")
    with pytest.raises(StorageUnavailable) as caught:
        s3.put_new("another", b"data")
    is_clear(caught.value, "ConditionalRequestConflict")


# ---- for good ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.CUT_BEFORE, Fault.CUT_AFTER])
def test_what_goes_on_failing_is_said(fault: Fault, proxy: FaultyProxy, s3: S3Objects) -> None:
    proxy.add(fault)
    for operation in OPERATIONS.values():
        with pytest.raises(StorageUnavailable) as caught:
            operation(s3)
        is_clear(caught.value, "busy" if fault is Fault.UNAVAILABLE else "the connection broke", proxy.url)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER])
def test_nobody_waits_for_ever(fault: Fault, proxy: FaultyProxy, impatient: S3Objects) -> None:
    proxy.add(fault)
    for name in ("put_new", "read", "list"):
        began = time.monotonic()
        with pytest.raises(StorageUnavailable) as caught:
            OPERATIONS[name](impatient)
        is_clear(caught.value, "no answer in time")
        assert time.monotonic() - began < 10  # 2 × 0.2 s, on a machine that has nothing else to do


def test_an_answer_that_always_breaks_off_is_said(proxy: FaultyProxy, s3: S3Objects) -> None:
    rule = proxy.add(Fault.CUT_ANSWER, method="GET")
    for operation, words in (("read", "the connection broke"), ("list", "it is failing")):
        with pytest.raises(StorageUnavailable) as caught:
            OPERATIONS[operation](s3)
        is_clear(caught.value, words)
    assert rule.used == 6


def test_a_storage_that_is_down_is_said_and_works_again_when_it_is_up(
    proxy: FaultyProxy, s3: S3Objects
) -> None:
    assert OPERATIONS["read"](s3)
    proxy.down()
    for operation in OPERATIONS.values():
        with pytest.raises(StorageUnavailable) as caught:
            operation(s3)
        is_clear(caught.value, "cannot be reached", proxy.url)
    proxy.up()
    assert OPERATIONS["read"](s3)
    assert OPERATIONS["replace"](s3)


def test_an_upload_that_fails_leaves_nothing_behind(
    proxy: FaultyProxy, s3: S3Objects, direct: S3Objects, bucket: str
) -> None:
    proxy.add(Fault.UNAVAILABLE, method="PUT", path="partNumber=2")
    with pytest.raises(StorageUnavailable):
        s3.write("there", [bytes(_PART), b"rest"])
    assert proxy.count("PUT", "partNumber=1") == 1
    assert "<UploadId>" not in s3_server().uploads(bucket)
    assert direct.read("there").data == b"old"


def test_parts_are_as_large_as_s3_wants_them() -> None:
    # Its limits: 5 MiB to 5 GiB each, at most 10,000. A day of 510 kbit/s is 5.5 GB.
    assert 5 * 2**20 <= s3_writer.PART <= 5 * 2**30
    assert s3_writer.PART * 10_000 > 10 * 5_500_000_000


def test_chunks_that_fail_leave_nothing_behind(s3: S3Objects, direct: S3Objects, bucket: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(_PART)
        assert "<UploadId>" in s3_server().uploads(bucket)
        raise EOFError

    with pytest.raises(EOFError):
        s3.write("there", chunks())
    assert "<UploadId>" not in s3_server().uploads(bucket)
    assert direct.read("there").data == b"old"


# ---- damage ------------------------------------------------------------------------------------------------


def test_damage_on_the_way_is_not_noticed_and_damage_in_the_storage_is_said(
    proxy: FaultyProxy, s3: S3Objects
) -> None:
    s3.put_new("whole", b"what was stored")
    proxy.add(Fault.DAMAGE, method="GET", times=2)
    assert s3.read("whole").data == b"what was stored"
    proxy.add(Fault.DAMAGE, method="GET")
    with pytest.raises(ObjectDamaged, match=r"^whole: its bytes are not those that were stored"):
        s3.read("whole")


# ---- what is said ------------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there_is_said_by_every_operation(proxy: FaultyProxy, bucket: str) -> None:
    s3 = S3Objects(f"{bucket}-not", "", S3Options(endpoint=proxy.url))
    for operation in OPERATIONS.values():
        with pytest.raises(StorageUnavailable) as caught:
            operation(s3)
        is_clear(caught.value, f"{bucket}-not", "no such bucket")
    s3.close()


def test_missing_credentials_are_said(
    proxy: FaultyProxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.s3_client.Session", Session)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3 = S3Objects(bucket, "", S3Options(endpoint=proxy.url))
    for use in (lambda: s3.read("there"), lambda: s3.put_new("a", b""), lambda: s3.presign("there", 60)):
        with pytest.raises(StorageUnavailable) as caught:
            use()
        is_clear(caught.value, "AWS_ACCESS_KEY_ID")
    assert proxy.requests == []
    s3.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDenied", "s3:PutObject"),
        ("403", "s3:GetObject"),
        ("SignatureDoesNotMatch", "credentials are refused"),
        ("ExpiredToken", "renew"),
        ("PermanentRedirect", "set the region"),
        ("KMS.DisabledException", "KMS key"),
        ("RequestTimeTooSkewed", "clock"),
        ("NotImplemented", "conditional writes"),
        ("InternalError", "it is failing"),
        ("Unheard", "it failed (Unheard)"),
    ],
)
def test_what_s3_refuses_is_explained_without_its_words(code: str, words: str) -> None:
    secret = "a/secret"
    answer = {"Error": {"Code": code, "Message": f"signed with {secret}"}, "ResponseMetadata": {}}
    with pytest.raises(StorageUnavailable) as caught, s3_errors("s3://test-bucket"):
        raise ClientError(answer, "PutObject")  # type: ignore[arg-type]
    is_clear(caught.value, words, code)
    assert secret not in caught.value.message


# ---- what goes with an object ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, _LARGE])
@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("r/replay.m4a", "audio/mp4"),
        ("r/chapters.json", "application/json+chapters"),
        ("open/r", "application/json"),
    ],
)
def test_objects_say_what_they_are(size: int, name: str, type_: str, bucket: str) -> None:
    s3 = S3Objects(bucket, "", S3Options(endpoint=s3_server().url, sse_kms_key="alias/longwave"))
    s3.write(name, [bytes(size)])
    found = s3._client.head_object(Bucket=bucket, Key=name)
    assert found["ContentType"] == type_
    assert found["CacheControl"] == "public, max-age=60"
    assert found["ServerSideEncryption"] == "aws:kms"
    assert found["SSEKMSKeyId"] == "alias/longwave"
    s3.close()


def test_a_presigned_url_is_for_anybody_and_names_the_file(proxy: FaultyProxy, bucket: str) -> None:
    s3 = S3Objects(bucket, "", S3Options(endpoint=s3_server().url, public_endpoint=proxy.url))
    s3.put_new("r/replay.m4a", b"audio")
    url = s3.presign("r/replay.m4a", 60, filename='Ümlaut "x"\r\nSet-Cookie: a=b.m4a')
    assert url
    assert url.startswith(f"{proxy.url}/{bucket}/r/replay.m4a?")
    assert "X-Amz-Expires=60" in url
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in url
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"audio"
        assert answer.headers["Content-Type"] == "audio/mp4"
        wanted = "attachment; filename*=UTF-8''%C3%9Cmlaut%20%22x%22%0D%0ASet-Cookie%3A%20a%3Db.m4a"
        assert answer.headers["Content-Disposition"] == wanted
    plain = s3.presign("r/replay.m4a", 60)
    assert plain
    assert "disposition" not in plain
    s3.close()


def test_long_listings_and_removals_go_page_by_page(
    proxy: FaultyProxy, s3: S3Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.s3_objects._AT_ONCE", 2)
    wanted = ["a/1", "a/2", "a/3", "a/4", "a/5", "there"]
    for name in wanted:
        s3.put_new(name, b"")
    assert [info.name for info in s3.list("")] == wanted
    assert proxy.count("GET", "list-type=2") == 3
    s3.delete(wanted[:5])
    assert proxy.count("POST", "delete") == 3
    assert [info.name for info in s3.list("")] == ["there"]


def test_what_others_keep_in_the_bucket_is_not_listed(s3: S3Objects, bucket: str) -> None:
    for key in ("folder/", "a//b", ".hidden", "a/../b"):
        s3._client.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [info.name for info in s3.list("")] == ["there"]


def test_checksums_go_with_what_is_stored_unless_they_are_not_wanted(proxy: FaultyProxy, bucket: str) -> None:
    for checksums in (True, False):
        s3 = S3Objects(bucket, "", S3Options(endpoint=proxy.url, checksums=checksums))
        sent: list[str] = []
        s3._client.meta.events.register(
            "before-send.s3", lambda request, to=sent, **_: to.extend(request.headers)
        )
        assert OPERATIONS["write, large"](s3)
        assert OPERATIONS["write"](s3)
        sums = {
            header.lower()
            for header in sent
            if re.match(r"x-amz-checksum-(crc|md|sha|xxh)", header, re.IGNORECASE)
        }
        assert sums == ({"x-amz-checksum-sha256"} if checksums else set())
        s3.close()
