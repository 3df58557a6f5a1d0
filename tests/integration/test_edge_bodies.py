"""Requests with a body, which no public address takes: an edge lets nobody wait for one."""

from __future__ import annotations

import asyncio

import pytest

from tests.edge_stage import Stage, asked

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest.mark.parametrize("field", ["Content-Length: 10", "Transfer-Encoding: chunked"])
async def test_a_body_that_never_comes_is_waited_for_by_nobody_else(edge_stage: Stage, field: str) -> None:
    direct, through = await edge_stage.take((3, 2))
    address = f"{through.line()}/1.m4s"
    before = asked(direct, "segment")
    _, writer = await asyncio.open_connection("127.0.0.1", edge_stage.edge.port)
    try:
        writer.write(f"GET {address} HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n".encode())
        await writer.drain()
        # Whoever is first asks the origin; the others have it from the edge.
        for _ in range(5):
            answer = await through.get("1.m4s")
            assert (answer.status, answer.body) == (200, direct.segment(1))
            await asyncio.sleep(0.1)
        assert asked(direct, "segment") - before == 1
    finally:
        writer.close()
        await writer.wait_closed()
