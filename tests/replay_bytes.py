"""The bytes of a replay: some of them spoiled, and as a listener gets them."""

from __future__ import annotations

import aiohttp

from storage.derived import BLOCK
from storage.names import REPLAY_M4A, fragment_name, take_object
from tests.replay_site import KEY, Serving, Watched

M4A = take_object(KEY, REPLAY_M4A)
FRAGMENT = fragment_name(KEY, "64k", 15)
# More than the kernel takes for a socket: 4 MB is what it sends ahead at most.
LARGE = 30 * BLOCK + 1_000


def spoil(objects: Watched, name: str, at: int) -> None:
    """Another byte, where nothing of the length tells."""
    data = bytearray(objects.inner.read(name).data)
    data[at] ^= 1
    objects.write(name, [bytes(data)])


async def taken(site: Serving, path: str = ".m4a", **headers: str) -> tuple[int, bytes, bool]:
    """Status, what came of the body, and whether it was all."""
    body = bytearray()
    url = f"http://127.0.0.1:{site.port}/replay/{KEY.room}/{KEY.take}{path}"
    async with site.session.get(url, headers=headers) as answer:
        try:
            async for chunk in answer.content.iter_any():
                body += chunk
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
            return answer.status, bytes(body), False
        return answer.status, bytes(body), len(body) == answer.content_length
