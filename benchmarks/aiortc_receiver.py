"""aiortc as it comes, for comparison: each voice by WHIP is received, decoded and thrown away.

`python -m benchmarks.aiortc_receiver`: says its port, and goes on until it is ended.
"""

from __future__ import annotations

import asyncio
from typing import Final
from unittest.mock import patch

import uvloop
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

HOST: Final = "127.0.0.1"


class Receiver:
    """Keeps its peers, and the tasks that read their tracks."""

    def __init__(self) -> None:
        self._peers: list[RTCPeerConnection] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def publish(self, request: web.Request) -> web.Response:
        """An offer in, an answer out."""
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers.append(peer)
        peer.on("track", self._hear)
        await peer.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        # aioice leaves loopback out.
        with patch("aioice.ice.get_host_addresses", return_value=[HOST]):
            await peer.setLocalDescription(await peer.createAnswer())
        return web.Response(status=201, text=peer.localDescription.sdp, headers={"Location": "/whip/peer"})

    def _hear(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(_discard(track)))


async def _discard(track: MediaStreamTrack) -> None:
    try:
        while True:
            await track.recv()
    except MediaStreamError:
        return


async def main() -> None:
    """Serve for ever."""
    app = web.Application()
    app.router.add_post("/whip/{room}", Receiver().publish)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
