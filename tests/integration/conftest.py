"""Two Redis servers for the tests of a file that want nothing of each other in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.redis_server import RedisServer, redis_servers


@pytest.fixture(scope="module")
def two_servers() -> Iterator[Sequence[RedisServer]]:
    with redis_servers(2) as servers:
        yield servers


@pytest.fixture
def servers(two_servers: Sequence[RedisServer]) -> Sequence[RedisServer]:
    """Both are empty when a test begins."""
    for server in two_servers:
        server.command("FLUSHALL")
    return two_servers
