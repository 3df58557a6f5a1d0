"""What the load tool says before it begins, and what it refuses."""

import resource
from typing import Any

import pytest

from contracts.errors import UsageError
from longwave.load.base import Base
from longwave.load.crowd import Arrivals, Target
from longwave.load.plan import Found, LoadOptions, make_plan, raise_file_limit, without_token
from longwave.load.probe import target_of
from longwave.load.process import _order

PAGE = "http://127.0.0.1:8080/listen/room"


def found(*, low_latency: bool = False, host: str = "127.0.0.1") -> Found:
    target = Target(Base("http", host, 8080), b"/live/room/index.m3u8", low_latency=low_latency)
    return Found(target, 2.0, 2.0, 16_000, 3_000, 0.4, 6.0)


def test_it_is_said_before_it_is_done() -> None:
    plan = make_plan(LoadOptions(PAGE, 10_000, arrive=500, seconds=90), found(), cores=2)
    lines = "\n".join(plan.lines())
    assert "10,000 plain listeners of http://127.0.0.1:8080/listen/room, 500 a second; 90 s in all" in lines
    assert "at most 10,000 at once: about 10,000 requests and 95.0 MB a second" in lines
    assert "2 processes, 10,000 connections from 3 loopback addresses, HTTP/1.1 (http)" in lines


@pytest.mark.parametrize(
    ("options", "rate", "peak", "processes"),
    [
        (LoadOptions(PAGE, 1000), 100.0, 1000, 2),
        (LoadOptions(PAGE, 1000, seconds=10), 200.0, 1000, 2),
        (LoadOptions(PAGE, 1000, arrive=10, seconds=30), 10.0, 300, 2),
        (LoadOptions(PAGE, 1000, arrive=10, stay=5, seconds=300), 10.0, 50, 2),
        (LoadOptions(PAGE, 12), 1.2, 12, 1),
        (LoadOptions(PAGE, 12, processes=4), 1.2, 12, 4),
    ],
)
def test_rates_and_the_most_at_once_follow_from_what_was_asked(
    options: LoadOptions, rate: float, peak: int, processes: int
) -> None:
    plan = make_plan(options, found(), cores=2)
    assert (plan.rate, plan.peak, plan.processes) == (rate, peak, processes)


def test_low_latency_listeners_ask_twice_for_each_part() -> None:
    plan = make_plan(LoadOptions(PAGE, 100, low_latency=True), found(low_latency=True), cores=2)
    assert plan.requests_a_second == pytest.approx(500)
    assert plan.connections == 2


def test_only_the_loopback_has_addresses_to_spare() -> None:
    assert make_plan(LoadOptions(PAGE, 8_001), found()).sources == ("127.0.1.1", "127.0.1.2", "127.0.1.3")
    assert make_plan(LoadOptions(PAGE, 8_001), found(host="192.0.2.1")).sources == ()


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_listeners_of_all_processes_come_as_one_crowd(processes: int) -> None:
    plan = make_plan(LoadOptions(PAGE, 100, arrive=8, processes=processes), found())
    orders = [_order(plan, index) for index in range(processes)]
    arrivals = [Arrivals(each["first"], each["every"], each["number"]) for each in orders]
    instants = sorted(each.at(index) for each in arrivals for index in range(each.number))
    assert instants == pytest.approx([number / 8 for number in range(100)])


@pytest.mark.parametrize(
    "wrong",
    [{"listeners": 0}, {"arrive": 0.0}, {"seconds": float("nan")}, {"stay": -1.0}, {"processes": 0}],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        LoadOptions(**{"url": PAGE, "listeners": 1, **wrong})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/live/x/index.m3u8", "http://[::1/listen/x", "foo", ""]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        target_of(LoadOptions(url, 1))


def test_a_server_elsewhere_is_loaded_only_with_a_word() -> None:
    there = "https://example.net/listen/room"
    with pytest.raises(UsageError, match="--i-run-this-server"):
        target_of(LoadOptions(there, 1))
    target, _ = target_of(LoadOptions(there, 1, mine=True))
    assert target.base == Base("https", "example.net", 443)
    assert not target.same_clock
    assert target_of(LoadOptions("http://[::1]:8080/listen/room", 1))[0].same_clock


@pytest.mark.parametrize(
    ("url", "path", "prefix", "listen"),
    [
        (PAGE, b"/live/room/index.m3u8", b"", b"/listen/room.json"),
        (
            "http://localhost:1/p/k.9.ab/listen/room",
            b"/live/room/index.m3u8",
            b"/p/k.9.ab",
            b"/listen/room.json",
        ),
        (
            "http://localhost:1/p/k.9.ab/live/room/t/64k/index.m3u8",
            b"/live/room/t/64k/index.m3u8",
            b"/p/k.9.ab",
            b"/listen/room.json",
        ),
    ],
)
def test_an_address_says_what_is_listened_to(url: str, path: bytes, prefix: bytes, listen: bytes) -> None:
    target, found_prefix = target_of(LoadOptions(url, 1, tiers=True))
    assert (target.path, found_prefix, target.listen) == (path, prefix, listen)
    assert target_of(LoadOptions(url, 1))[0].listen == b""


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "room", "http:///x"])
def test_an_address_of_nothing_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        target_of(LoadOptions(url, 1))


def test_tiers_are_only_of_rooms() -> None:
    with pytest.raises(UsageError, match="--tiers"):
        target_of(LoadOptions("http://127.0.0.1:1/vod/index.m3u8", 1, tiers=True))


def test_more_connections_than_files_are_refused_before_anything_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 2_000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    raise_file_limit(make_plan(LoadOptions(PAGE, 2_000), found(), cores=2))
    assert limits == [(1_064, 2_000)]
    with pytest.raises(UsageError, match="4,064 open files a process are needed, and 2,000 allowed"):
        raise_file_limit(make_plan(LoadOptions(PAGE, 8_000), found(), cores=2))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (PAGE, PAGE),
        ("http://127.0.0.1:1/p/k.9.ab/listen/room", "http://127.0.0.1:1/p/…/listen/room"),
        ("http://127.0.0.1:1/listen/room#listen=k.9.ab", "http://127.0.0.1:1/listen/room"),
    ],
)
def test_what_lets_into_a_room_is_not_said(url: str, said: str) -> None:
    assert without_token(url) == said
    assert said in next(make_plan(LoadOptions(url, 1), found()).lines())
