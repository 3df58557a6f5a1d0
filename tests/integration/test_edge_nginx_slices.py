"""A long replay through nginx: whoever jumps into its middle does not wait for what stands before that."""

from __future__ import annotations

import pytest

from tests.edge_site import REPLAY, SIZE, real_site

pytestmark = [pytest.mark.needs("nginx", "njs"), pytest.mark.timeout(120)]


async def test_a_jump_into_the_middle_brings_the_megabyte_that_it_needs_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with real_site("nginx", tmp_path_factory.mktemp) as site:
        before = site.asked("replay")
        for wanted in ("bytes=2500000-2500099", "bytes=2500100-2500199"):
            answer = await site.get(f"{REPLAY}.m4a", Range=wanted)
            first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"{wanted.replace('=', ' ')}/{SIZE}"
            assert answer.body == site.kept.m4a[first : last + 1]
        assert site.asked("replay") - before == 1
        whole = await site.get(f"{REPLAY}.m4a")
        assert (whole.status, whole.body) == (200, site.kept.m4a)
        # The three others.
        assert site.asked("replay") - before == 4
