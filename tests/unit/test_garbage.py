"""What comes from elsewhere is a value, or it is refused with one kind of error, whatever it is."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeSettings
from contracts.take_state import TakeState
from storage.event_log import event_json, parse_event
from tests.other_ingests import OtherIngests
from workers.addresses import check_url
from workers.adoption import Adoption
from workers.claims import Unattended
from workers.complaints import Complaints
from workers.take_memo import TakeMemo

GARBAGE = [
    b"", b"x", b"\xff\xfe", b"[]", b"{}", b"null", b"-7", b"1e999", b"NaN", b"9" * 5000, b"1" + b"0" * 400,
    b"[" * 100_000, b'{"a":' * 50_000, str(2**60).encode(), b"[[1e999,0,0]]", b'"\\ud800"',
]  # fmt: skip
MEMO = TakeMemo(TakeHeader(0, TakeSettings(), "f"), 3, ended=48_000).to_fields()
CHAPTER: dict[str, Any] = {"sample": 5, "n": 0, "kind": "chapter", "title": "x"}


@pytest.mark.parametrize("field", [b"header", b"gen", b"orders", b"loudness", b"ended"])
@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_a_memo_of_garbage_is_refused_as_a_value_error_or_is_a_memo(field: bytes, garbage: bytes) -> None:
    try:
        memo = TakeMemo.from_fields(MEMO | {field: garbage})
    except ValueError:
        return
    assert (field, garbage) in {(b"loudness", b"[]"), (b"orders", b"{}"), (b"loudness", b"{}")}
    assert memo.generation == 3


def test_a_memo_comes_back_as_it_was() -> None:
    assert TakeMemo.from_fields(MEMO).to_fields() == MEMO


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_an_event_of_garbage_is_refused_as_a_value_error(garbage: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_event(garbage)


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": "\ud800"}, {"title": ""}, {"title": "x" * 2000}, {"title": 5}, {"sample": -1},
        {"sample": 2**60}, {"sample": True}, {"sample": 1.5}, {"n": -1}, {"n": 10**9}, {"kind": []},
        {"kind": "hologram"}, {"speakers": "abc"}, {"speakers": [1]}, {"speakers": ["\udfff"]},
        {"speakers": [""]}, {"speakers": ["x" * 65]}, {"speakers": ["x"] * 65},
    ],
    ids=str,
)  # fmt: skip
def test_an_event_that_no_origin_can_be_told_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an event"):
        parse_event(json.dumps(CHAPTER | wrong).encode())


def test_what_happens_comes_back_as_it_was() -> None:
    for event in (
        TakeEvent(5, 0, "chapter", title="Zoë 🎙"),
        TakeEvent(0, 3, "speakers", speakers=()),
        TakeEvent(2**40, 9, "join", speakers=("x" * 64,)),
    ):
        assert parse_event(event_json(event)) == event


@pytest.mark.parametrize("value", ["1e999", "NaN", "-1", "true", '"1"', "1.5", "1" + "0" * 400, "null"])
@pytest.mark.parametrize("field", ["first", "msn", "part", "gap", "end"])
def test_a_state_of_an_origin_has_numbers_that_can_be(field: str, value: str) -> None:
    values = {"first": "0", "msn": "1", "part": "0", "gap": "0", "end": "null"} | {field: value}
    line = f'{{"first": {values["first"]}, "next": {{"msn": {values["msn"]}, "part": {values["part"]}}}'
    text = f'{{"renditions": {{"64k": {line}, "gaps": [{values["gap"]}]}}}}, "end": {values["end"]}}}'
    if value == "null" and field in {"first", "end"}:
        assert TakeState.from_json(json.loads(text)).end is None
        return
    with pytest.raises((ValueError, TypeError)):
        TakeState.from_json(json.loads(text))


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "//x", "ftp://x", "javascript:alert(1)", "http://", "http://[::1", "http://a b",
        "http://a\r\nX: y", "http://x:99999", "http://x:0", "http://x:abc",
        "http://\u2028x", "http://" + "x" * 5000, "http://..\\x",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_cannot_be_asked_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        check_url(url)


@pytest.mark.parametrize("url", ["http://a", "https://a.b:8443", "http://[::1]:80", "http://10.0.0.1:80/p"])
def test_a_url_that_can_be_asked_is_one(url: str) -> None:
    assert check_url(url) == url


def test_each_of_a_few_complaints_is_made_once_and_of_many_ever_fewer() -> None:
    complaints = Complaints(most=4)
    assert [complaints.admit(about) for about in "aabbccdd"] == [True, False] * 4
    lines = sum(complaints.admit(number) for number in range(1000))
    assert lines == 10
    assert complaints.untold == 1000


async def test_a_take_that_cannot_be_adopted_keeps_nobody_from_the_others() -> None:
    keys = [TakeKey(room, "20260101T000000Z-abc234") for room in "abc"]
    others, held = OtherIngests(), list[str]()
    others.alone = [Unattended(key, closed=False) for key in keys]

    class Holding:
        async def hold(self, room: str) -> None:
            held.append(room)
            if room != "c":
                raise OverflowError("a bug of ours")

    class Keeper:
        def keeps(self, _key: TakeKey) -> bool:
            return False

    adoption = Adoption(others, cast("Any", Holding()), cast("Any", None), cast("Any", Keeper()), idle_ns=0)
    with capture_logs() as lines:
        await adoption.look(1)
        await adoption.look(2)
    assert held == ["a", "b", "c"] * 2
    assert [line["room"] for line in lines] == ["a", "b"], "each is told of once"
