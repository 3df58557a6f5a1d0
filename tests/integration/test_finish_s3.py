"""Finishing, editing and deleting in S3, over real HTTP that fails on command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from contracts.errors import StorageUnavailable
from storage.names import DERIVED, META, RECORD, REPLAY_M4A, deleted_name, entry_name, take_object
from storage.objects import Objects
from storage.s3_objects import S3Objects
from storage.s3_options import S3Options
from tests.faulty_proxy import Fault, FaultyProxy
from tests.over_takes import KEY, Memory, archive, everything, header
from tests.s3_server import CREDENTIALS, s3_server
from workers.archive.finish import Finisher
from workers.archive.orphans import Action, Orphans
from workers.archive.verify import verify

pytestmark = pytest.mark.faults
NOW = 1_767_300_000.0
SAMPLES = 2 * 96_000
QUICK = S3Options(region="us-east-1", connect_seconds=1.0, read_seconds=1.0, attempts=2)


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    with FaultyProxy(s3_server().port) as proxy:
        yield proxy


@pytest.fixture
def objects(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Objects]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    # boto waits up to a second before it asks again; what it does then is the same sooner.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    s3 = S3Objects(s3_server().new_bucket(), "lw", replace(QUICK, endpoint=proxy.url))
    archive(s3, header(), SAMPLES)
    yield s3
    s3.close()


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    memory = Memory()
    archive(memory, header(), SAMPLES)
    finisher(memory).finish(KEY)
    return everything(memory)


def finisher(objects: Objects) -> Finisher:
    return Finisher(objects, None, clock=lambda: NOW)


def test_in_s3_a_take_becomes_the_same_bytes_as_on_a_disk_and_is_edited_and_deleted(
    objects: S3Objects, whole: dict[str, bytes]
) -> None:
    finisher(objects).finish(KEY)
    assert everything(objects) == whole
    assert verify(objects, KEY).problems == ()
    entry = finisher(objects).edit(KEY, lambda meta: replace(meta, title="Neu", published=False))
    assert (entry.title, entry.published) == ("Neu", False)
    assert verify(objects, KEY).problems == ()
    finisher(objects).delete(KEY)
    assert [*everything(objects)] == [deleted_name(KEY), take_object(KEY, META)]


def test_requests_that_fail_once_are_made_again(
    objects: S3Objects, proxy: FaultyProxy, whole: dict[str, bytes]
) -> None:
    for fault, method, name in (
        (Fault.CUT_AFTER, "PUT", RECORD),
        (Fault.CUT_ANSWER, "GET", META),
        (Fault.CUT_BEFORE, "PUT", REPLAY_M4A),
        (Fault.CUT_AFTER, "PUT", DERIVED),
        (Fault.UNAVAILABLE, "PUT", "replays/"),
    ):
        proxy.add(fault, method=method, path=name, times=1)
    finisher(objects).finish(KEY)
    proxy.clear()
    assert everything(objects) == whole


@pytest.mark.parametrize(("fault", "name"), [(Fault.HANG, REPLAY_M4A), (Fault.HANG_AFTER, DERIVED)])
def test_a_put_without_an_answer_ends_the_attempt_and_the_next_one_does_it(
    objects: S3Objects, proxy: FaultyProxy, whole: dict[str, bytes], fault: Fault, name: str
) -> None:
    proxy.add(fault, method="PUT", path=name)
    with pytest.raises(StorageUnavailable):
        finisher(objects).finish(KEY)
    proxy.clear()
    finisher(objects).finish(KEY)
    assert everything(objects) == whole


def test_a_sweep_waits_for_the_storage_and_then_finishes(
    objects: S3Objects, proxy: FaultyProxy, whole: dict[str, bytes]
) -> None:
    info = objects.head(take_object(KEY, "story.json"))
    assert info is not None
    orphans = Orphans(objects, finisher(objects), lambda _: False, shared=True)
    proxy.down()
    assert orphans.sweep(info.modified + 100) == {}
    proxy.up()
    assert orphans.sweep(info.modified + 160) == {KEY: Action.FINISH}
    assert everything(objects) == whole
    assert objects.head(entry_name(KEY)) is not None
