"""A running edge before a real origin that serves replays, feeds and pages from a storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.disk_objects import DiskObjects
from tests.edge_stage import edge_before, fetch
from tests.edges import Edge
from tests.origins import Answer
from tests.replay_site import KEY, Kept, Serving, keep, serving

SIZE: Final = 3_300_000
REPLAY: Final = f"/replay/{KEY.room}/{KEY.take}"
HIDDEN: Final = KEY._replace(take="20260102T000000Z-abc234")
"""A take that is not published."""


@dataclass
class Site:
    """An edge, the origin behind it, and the published replay that it has."""

    edge: Edge
    behind: Serving
    kept: Kept

    async def get(self, path: str, **headers: str) -> Answer:
        return await fetch(self.edge.url + path, **headers)

    def asked(self, *kinds: str) -> int:
        """How many answers of these kinds the origin gave."""
        families = {family.name: family for family in self.behind.origin.metrics.registry.collect()}
        samples = families["longwave_http_requests"].samples
        return int(sum(s.value for s in samples if s.name.endswith("_total") and s.labels["kind"] in kinds))


@asynccontextmanager
async def real_site(program: str, directory: Callable[[str], Path]) -> AsyncIterator[Site]:
    """`directory` makes a new one of each name."""
    objects = DiskObjects(directory("storage"))
    kept = keep(objects, Kept(size=SIZE))
    keep(objects, Kept(HIDDEN, published=False, size=2_000))
    async with (
        serving(objects, pages=None) as behind,
        edge_before(program, [f"127.0.0.1:{behind.port}"], directory("edge")) as edge,
    ):
        yield Site(edge, behind, kept)
