"""What every client of an origin does, in process and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contracts.errors import (
    BytesConflict,
    MalformedMedia,
    MediaMissing,
    OutOfOrder,
    OverLimit,
    TakeEnded,
    UnknownTake,
)
from contracts.position import Position
from contracts.take import TakeEvent
from contracts.take_state import RenditionState, TakeState
from longwave.local_origin import LocalOrigin
from tests import takes
from tests.origin_server import GRID, INIT, OriginServer, begin, put
from tests.publishing import KEY
from workers.http_origin import HttpOrigin
from workers.origin_client import OriginClient


@pytest.fixture(params=["in process", "over HTTP"])
async def client(request: pytest.FixtureRequest, origin_server: OriginServer) -> AsyncIterator[OriginClient]:
    assert origin_server.origin is not None
    client: OriginClient = (
        LocalOrigin(origin_server.origin) if request.param == "in process" else HttpOrigin(origin_server.url)
    )
    yield client
    await client.close()


async def test_a_take_goes_from_its_header_to_its_end(client: OriginClient) -> None:
    await begin(client)
    await client.put_segment(KEY, "64k", 3, takes.segment(GRID, 3))
    await client.put_gap(KEY, "64k", 4)
    await put(client, 5, 0)
    await client.put_event(KEY, TakeEvent(5 * 96_000, 0, "chapter", title="Fünf"))
    await client.put_event(KEY, TakeEvent(5 * 96_000, 1, "speakers", speakers=("Ada", "Bob")))
    assert await client.state(KEY) == TakeState({"64k": RenditionState(3, Position(5, 1), (4,))}, None)
    await client.end(KEY, 5 * 96_000 + 18_000)
    assert (await client.state(KEY)).end == 5 * 96_000 + 18_000


async def test_everything_twice_changes_nothing(client: OriginClient) -> None:
    for _ in range(2):
        await begin(client)
    for _ in range(2):
        await put(client, 0, 0)
    for _ in range(2):
        await client.put_gap(KEY, "64k", 0)
    for _ in range(2):
        await client.put_segment(KEY, "64k", 1, takes.segment(GRID, 1))
    for _ in range(2):
        await client.end(KEY, 2 * 96_000)
    assert await client.state(KEY) == TakeState({"64k": RenditionState(0, Position(2, 0), (0,))}, 2 * 96_000)


async def test_nothing_comes_before_take_json(client: OriginClient) -> None:
    for request in (
        client.put_init(KEY, "64k", INIT),
        put(client, 0, 0),
        client.put_segment(KEY, "64k", 0, takes.segment(GRID, 0)),
        client.put_gap(KEY, "64k", 0),
        client.put_event(KEY, TakeEvent(0, 0, "chapter", title="One")),
        client.end(KEY, 0),
        client.state(KEY),
    ):
        with pytest.raises(UnknownTake):
            await request


async def test_what_is_missing_is_said(client: OriginClient) -> None:
    await begin(client)
    await put(client, 7, 0)
    with pytest.raises(OutOfOrder) as refused:
        await put(client, 7, 2)
    assert refused.value.expected == Position(7, 1)
    with pytest.raises(MediaMissing) as missing:
        await client.end(KEY, 8 * 96_000)
    assert missing.value.expected == Position(7, 1)


async def test_other_bytes_are_refused(client: OriginClient) -> None:
    await begin(client)
    await put(client, 0, 0)
    with pytest.raises(BytesConflict):
        await put(client, 0, 0, b"other")
    with pytest.raises(BytesConflict):
        await client.put_take(KEY, takes.header(parts=4))


async def test_malformed_media_is_refused(client: OriginClient) -> None:
    await begin(client)
    with pytest.raises(MalformedMedia):
        await client.put_part(KEY, "64k", 0, 0, b"no boxes")


async def test_nothing_comes_after_the_end(client: OriginClient) -> None:
    await begin(client)
    await put(client, 0, 0)
    await client.end(KEY, 10_000)
    with pytest.raises(TakeEnded):
        await put(client, 0, 1)


async def test_what_it_serves_of_a_segment_can_be_had_and_nobody_waits_for_the_rest(
    client: OriginClient,
) -> None:
    await begin(client)
    await client.put_segment(KEY, "64k", 3, takes.segment(GRID, 3))
    await put(client, 4, 0)
    await put(client, 4, 1)
    await client.put_gap(KEY, "64k", 4)
    await client.put_gap(KEY, "64k", 5)
    await put(client, 6, 0)
    there = {msn: await client.parts_of(KEY, "64k", msn) for msn in range(2, 9)}
    assert there == {
        2: (),
        3: tuple(takes.part(GRID, 3, part) for part in range(5)),
        4: tuple(takes.part(GRID, 4, part) for part in range(2)),  # broken off, and served a while longer
        5: (),
        6: (takes.part(GRID, 6, 0),),  # the part that follows is hinted: a request for it would be held
        7: (),
        8: (),
    }


async def test_of_what_it_does_not_know_nothing_can_be_had(client: OriginClient) -> None:
    assert await client.parts_of(KEY, "64k", 0) == ()
    await begin(client)
    assert await client.parts_of(KEY, "64k", 0) == ()
    assert await client.parts_of(KEY, "96k", 0) == ()


async def test_a_take_that_is_forgotten_is_gone_and_forgetting_it_twice_is_fine(client: OriginClient) -> None:
    await begin(client)
    await put(client, 0, 0)
    for _ in range(2):
        await client.forget(KEY)
    with pytest.raises(UnknownTake):
        await client.state(KEY)
    assert await client.parts_of(KEY, "64k", 0) == ()


async def test_an_origin_that_is_being_filled_takes_nothing_and_does_not_say_what_it_has(
    client: OriginClient, origin_server: OriginServer
) -> None:
    """Whoever asked would begin too early, or take for lost what is on its way."""
    assert origin_server.origin is not None
    await begin(client)
    await put(client, 0, 0)
    origin_server.origin.being_filled = True
    for request in (client.state(KEY), client.parts_of(KEY, "64k", 0), put(client, 0, 1), client.forget(KEY)):
        with pytest.raises(OverLimit, match="being filled"):
            await request
    origin_server.origin.being_filled = False
    assert await client.parts_of(KEY, "64k", 0) == (takes.part(GRID, 0, 0),)


async def test_the_short_last_segment_can_be_had(client: OriginClient) -> None:
    await begin(client)
    await put(client, 0, 0)
    await client.end(KEY, 10_000)
    assert await client.parts_of(KEY, "64k", 0) == (takes.part(GRID, 0, 0),)
