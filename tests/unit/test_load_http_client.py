"""The load tool's HTTP: the same answer however its bytes come, and a word for whatever is wrong."""

import asyncio
from typing import Any

import pytest

from longwave.load.base import Base
from longwave.load.http_client import Answer, Connection, Dialer

PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "a"\r\n\r\nhello'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
)


class Wire(asyncio.WriteTransport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:  # noqa: ANN401 - as asyncio's
        self.sent.append(data)

    def abort(self) -> None:
        self.aborted = True


class Owner:
    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.failures: list[tuple[str, bool]] = []
        self.wire = Wire()
        self.connection = Connection(self)
        self.connection.connection_made(self.wire)

    def connected(self, connection: Connection) -> None:
        pass

    def answered(self, connection: Connection, answer: Answer) -> None:
        self.answers.append(answer)

    def failed(self, connection: Connection, reason: str, *, untouched: bool) -> None:
        self.failures.append((reason, untouched))

    def ask(self, *, keep: bool = True) -> None:
        self.connection.send(b"GET / HTTP/1.1\r\n\r\n", keep=keep)


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_an_answer_is_the_same_however_its_bytes_come(whole: bytes, step: int) -> None:
    owner = Owner()
    for _ in range(2):
        owner.ask()
        for start in range(0, len(whole), step):
            owner.connection.data_received(whole[start : start + step])
    assert [(each.status, each.size, each.body) for each in owner.answers] == [(200, 5, b"hello")] * 2
    assert not owner.failures
    assert not owner.connection.closed


def test_bodies_that_nobody_wants_are_counted_and_not_kept() -> None:
    owner = Owner()
    owner.ask(keep=False)
    owner.connection.data_received(PLAIN)
    assert (owner.answers[0].size, owner.answers[0].body) == (5, b"")
    assert owner.answers[0].field(b"etag") == b'"a"'
    assert owner.answers[0].field(b"age") == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "no length"),
        (b"SSH-2.0-x\r\n\r\n", "malformed"),
        (b"HTTP/1.1 xyz\r\n\r\n", "malformed"),
        (PLAIN + b"more", "malformed"),
        (CHUNKED + b"more", "malformed"),
        (CHUNKED.replace(b"3\r\nhel", b"z\r\nhel"), "malformed"),
        (b"x" * 70_000, "malformed"),
    ],
)
def test_what_is_no_answer_closes_the_connection(data: bytes, reason: str) -> None:
    owner = Owner()
    owner.ask()
    owner.connection.data_received(data)
    assert owner.failures == [(reason, False)]
    assert owner.wire.aborted
    assert not owner.answers


def test_an_answer_without_a_body_is_whole_at_its_head() -> None:
    owner = Owner()
    owner.ask()
    owner.connection.data_received(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\n\r\n")
    assert [(each.status, each.size) for each in owner.answers] == [(304, 0)]


def test_a_server_that_closes_after_its_answer_is_believed() -> None:
    owner = Owner()
    owner.ask()
    owner.connection.data_received(PLAIN.replace(b"ETag", b"Connection: close\r\nETag"))
    assert owner.answers
    assert owner.connection.closed
    owner.connection.connection_lost(None)
    assert not owner.failures


@pytest.mark.parametrize(
    ("before", "half", "failure"),
    [
        (b"", b"", ("closed", False)),
        (PLAIN, b"", ("closed", True)),
        (PLAIN, b"HTTP/1.1 200 OK\r\n", ("cut short", False)),
        (b"", PLAIN[:-1], ("cut short", False)),
    ],
)
def test_a_connection_that_breaks_says_whether_an_answer_had_begun(
    before: bytes, half: bytes, failure: tuple[str, bool]
) -> None:
    owner = Owner()
    if before:
        owner.ask()
        owner.connection.data_received(before)
    owner.ask()
    owner.connection.data_received(half)
    owner.connection.connection_lost(None)
    assert owner.failures == [failure]


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    owner = Owner()
    owner.connection.data_received(PLAIN)
    assert owner.connection.closed
    assert not owner.answers


async def test_other_machines_are_left_alone_without_a_word() -> None:
    owner, dialer = Owner(), Dialer(None)
    connection = dialer.open(Base("http", "192.0.2.1", 80), owner)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert owner.failures == [("not allowed", False)]
    assert connection.closed
    await dialer.close()
