"""Commands that are put together in C are those that the client library would send."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio.connection import Connection

from tests.bus_writing import new_metrics
from workers.redis_bus.address import parse_bus
from workers.redis_bus.links import RedisLink
from workers.redis_bus.packing import PlainConnection

COMMANDS = (
    ("PING",),
    ("SCRIPT LOAD", b"return 1"),
    (b"SCRIPT LOAD", b"return 1"),
    ("EVALSHA", "ab" * 20, 2, b"lw:{room}:take", b"lw:{room}:pcm", 1, -1, 4800, b"pcm", bytes(9600)),
    ("SET", "Grüße", "größer", "PX", 3000),
    ("ZADD", b"key", 1.5, b""),
)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_what_the_library_would_send(words: tuple[str | bytes | int | float, ...]) -> None:
    assert b"".join(PlainConnection().pack_command(*words)) == b"".join(Connection().pack_command(*words))


def test_commands_that_are_sent_together_follow_one_another() -> None:
    ours, theirs = PlainConnection().pack_commands(COMMANDS), Connection().pack_commands(COMMANDS)
    assert b"".join(ours) == b"".join(theirs)


@pytest.mark.parametrize("url", ["redis://a", "rediss://a", "redis+sentinel://a:26379,b:26379/main"])
async def test_every_connection_of_a_link_packs_in_c(url: str) -> None:
    link = RedisLink(parse_bus(url), new_metrics())
    for client in (link.client, link.blocking):
        connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        assert type(connection).pack_commands is PlainConnection.pack_commands
    await asyncio.wait_for(link.close(), 5)
