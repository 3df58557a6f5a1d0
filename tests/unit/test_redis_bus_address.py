"""Where a bus is, and what nobody is shown of it."""

import pytest

from contracts.errors import UsageError
from workers.redis_bus.address import BusAddress, Credentials, parse_bus


@pytest.mark.parametrize(
    ("url", "address", "name"),
    [
        ("redis://one", BusAddress((("one", 6379),)), "one:6379"),
        ("redis://one:7000/2", BusAddress((("one", 7000),), db=2), "one:7000/2"),
        (
            "rediss://me:p%40ss@[::1]:7000",
            BusAddress((("::1", 7000),), tls=True, login=Credentials("me", "p@ss")),
            "[::1]:7000",
        ),
        (
            "redis+sentinel://:pw@a,b:7001/lw/3",
            BusAddress((("a", 26379), ("b", 7001)), db=3, master="lw", login=Credentials(None, "pw")),
            "lw@a:26379,b:7001/3",
        ),
        (
            "rediss+sentinel://a/lw?sentinel_username=s&sentinel_password=t",
            BusAddress((("a", 26379),), tls=True, master="lw", sentinel_login=Credentials("s", "t")),
            "lw@a:26379",
        ),
    ],
)
def test_a_url_says_where_a_bus_is(url: str, address: BusAddress, name: str) -> None:
    assert parse_bus(url) == address
    assert address.name == name


@pytest.mark.parametrize(
    "url",
    [
        "http://one:secret@host",
        "one:6379",
        "redis://",
        "redis://:secret@host:port",
        "redis://:secret@host:70000",
        "redis://:secret@host/name",
        "redis://:secret@host/1/2",
        "redis://:secret@a,b",
        "redis://:secret@host?db=1",
        "redis+sentinel://:secret@a,b",
        "redis+sentinel://:secret@a/lw?password=secret",
    ],
)
def test_another_url_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_bus(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_nothing_shows_a_password() -> None:
    address = parse_bus("redis+sentinel://me:secret@a/lw?sentinel_password=other")
    assert "secret" not in repr(address) + address.name
    assert "other" not in repr(address) + address.name
    assert address.conceal("unknown command `HELLO`, with args: `secret`, `other`") == (
        "unknown command `HELLO`, with args: `***`, `***`"
    )
