"""What several files of integration tests begin with: real servers, and what works on them.

What they are made of, edges apart, is imported when a test asks for it: other files need not wait for it.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.edge_stage import PROGRAMS, Stage, real_stage

if TYPE_CHECKING:
    from storage.objects import Objects
    from tests.bus_reading import Worker
    from tests.commands import Commands
    from tests.origin_server import OriginServer
    from tests.origins import RunningOrigin
    from tests.owners import Ingests
    from tests.redis_server import RedisServer
    from tests.replay_shell import Shell

# ---------------------------------------------------------------- Redis


@pytest.fixture(scope="module")
def two_servers() -> Iterator[Sequence[RedisServer]]:
    """Two Redis servers for the tests of a file that want nothing of each other in them."""
    from tests.redis_server import redis_servers

    with redis_servers(2) as servers:
        yield servers


@pytest.fixture
def servers(two_servers: Sequence[RedisServer]) -> Sequence[RedisServer]:
    """Both are empty when a test begins."""
    for server in two_servers:
        server.command("FLUSHALL")
    return two_servers


@pytest.fixture
async def killable_bus() -> AsyncIterator[tuple[RedisServer, Worker]]:
    """A server that may be killed, and a worker that reads from it."""
    from tests.bus_reading import reading
    from tests.redis_server import RedisServer

    with RedisServer() as server:
        async with reading(server) as made:
            yield server, made


@pytest.fixture(scope="module")
def settled_servers() -> Iterator[Sequence[RedisServer]]:
    """Two Redis servers that have been running for longer than a claim lives."""
    from tests import owners

    with owners.two_servers() as servers:
        yield servers


@pytest.fixture
async def claiming_ingest() -> AsyncIterator[Ingests]:
    """What makes ingests that claim rooms; they renew nothing before they are told to `start`."""
    from tests import owners

    async with owners.ingests() as made:
        yield made


@pytest.fixture
def unclaimed_room() -> str:
    """A room that no test has had before."""
    from tests import owners

    return owners.new_room()


# ---------------------------------------------------------------- origins and edges


@pytest.fixture
async def origin_server() -> AsyncIterator[OriginServer]:
    """An origin that can be killed and started again."""
    from tests.origin_server import OriginServer

    async with OriginServer() as made:
        yield made


@pytest.fixture
async def fresh_origin() -> AsyncIterator[RunningOrigin]:
    """An origin that has nothing."""
    from tests.origins import running

    async with running() as room:
        yield room


@pytest.fixture
async def sister_origin() -> AsyncIterator[RunningOrigin]:
    """Segments 0 to 8, a gap at 3, a chapter, and two parts of segment 9."""
    from tests.sisters import a_sister

    async with a_sister() as room:
        yield room


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROGRAMS)
async def edge_stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """An edge of each program, before an origin."""
    async with real_stage(request.param, tmp_path_factory.mktemp("edge")) as stage:
        yield stage


# ---------------------------------------------------------------- commands


@pytest.fixture
def longwave(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    """Runs `longwave …` in this process."""
    from tests.commands import Commands

    return Commands(monkeypatch, capsys)


# ---------------------------------------------------------------- storages and replays


@pytest.fixture(params=["disk", "s3"])
def open_storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Objects]]:
    """What opens the same storage, of each kind and empty at first, as often as it is called."""
    from tests.storages import storage

    with storage(request.param, tmp_path, monkeypatch) as another:
        yield another


@pytest.fixture
def each_storage(open_storage: Callable[[], Objects]) -> Objects:
    """A storage of each kind, empty at first."""
    return open_storage()


@pytest.fixture(scope="module")
def three_kept_takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two finished takes and one that nobody finished; not to be changed."""
    from tests.replay_shell import three_takes

    return three_takes(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def longwave_replay(
    three_kept_takes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    """Runs `longwave replay …` on a copy of `three_kept_takes`."""
    from tests.replay_shell import shell

    with shell(three_kept_takes, tmp_path, monkeypatch, capsys) as started:
        yield started
