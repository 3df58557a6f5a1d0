"""PCM for an ingest: samples that tell where they belong, chunked bodies, and requests that stop half way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def tone(samples: int, channels: int = 1) -> NDArray[np.int16]:
    """Samples that never repeat within a second and are never 0."""
    index = np.arange(samples)[:, None] % 16_000 * 2 + np.arange(channels) + 1
    return index.astype("<i2")


async def pieces(pcm: NDArray[np.int16], size: int) -> AsyncIterator[bytes]:
    """A chunked body."""
    data = pcm.tobytes()
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Line:
    """A raw connection that sends a request half way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, path: str, *headers: str) -> Line:
        line = cls(*await asyncio.open_connection("127.0.0.1", port))
        head = [f"PUT {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", *headers, "", ""]
        line.writer.write("\r\n".join(head).encode())
        return line

    def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def answer(self) -> tuple[int, Any]:
        """The status, and the body with all that stands before it as its `head`."""
        async with asyncio.timeout(20):
            status = int((await self.reader.readline()).split()[1])
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        if "content-length: " not in head:
            return status, None
        length = int(head.partition("content-length: ")[2].splitlines()[0])
        return status, {"head": head, **json.loads(await self.reader.readexactly(length))}

    async def told_to_go_on(self) -> bool:
        async with asyncio.timeout(20):
            return b" 100 " in await self.reader.readuntil(b"\r\n\r\n")

    def cut(self) -> None:
        self.writer.transport.abort()
