"""How tests wait for what tells nobody that it has happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Let tasks, threads and processes go on until it holds; the test's own time limit ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - they are looked at, they tell nobody
        await asyncio.sleep(0.005)
