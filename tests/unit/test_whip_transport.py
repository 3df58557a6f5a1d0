"""The inner parts of aioice and aiortc that WHIP stands on: an upgrade that moves one of them fails here.

And what is built on them, for as far as no peer is needed: sockets, candidates, datagrams that make no sense.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator

import aioice
import pylibsrtp
import pytest
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCDtlsTransport

from contracts.errors import OverCapacity
from workers.whip.candidates import Candidate
from workers.whip.ports import Door, open_door
from workers.whip.settings import WhipSettings
from workers.whip.transport import DtlsPath, IcePath

LOOPBACK = Door(("127.0.0.1",))
PEER = ("127.0.0.1", 40_001)


def parameters(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


def test_ice_can_still_be_overridden_where_it_is() -> None:
    connection = aioice.Connection
    assert parameters(connection.get_component_candidates) == ["self", "component", "addresses", "timeout"]
    assert parameters(connection.check_incoming) == ["self", "message", "addr", "protocol"]
    assert parameters(connection.query_consent) == ["self"]
    assert parameters(connection.data_received) == ["self", "data", "component"]
    assert parameters(connection.build_request) == ["self", "pair", "nominate"]
    assert parameters(StunProtocol.datagram_received) == ["self", "data", "addr"]
    assert {"retransmissions", "integrity_key"} <= set(parameters(StunProtocol.request))
    assert isinstance(inspect.getattr_static(CandidatePair, "remote_addr"), property)


async def test_ice_still_keeps_what_is_read_of_it() -> None:
    connection = aioice.Connection(ice_controlling=False)
    for name in ("_nominated", "_protocols", "_queue", "_remote_candidates"):
        assert hasattr(connection, name), name
    assert aioice.Candidate("1", 1, "udp", 1, "127.0.0.1", 9, "host")._network_host == "127.0.0.1"
    # Ours are called by its own: gathering, consent after the connection stands, and data of its sockets.
    assert "self.get_component_candidates(" in inspect.getsource(aioice.Connection.gather_candidates)
    assert "self.query_consent()" in inspect.getsource(aioice.Connection.connect)
    assert "self.receiver.data_received(" in inspect.getsource(StunProtocol.datagram_received)


def test_dtls_still_asks_its_path_for_three_things_and_hands_packets_over() -> None:
    dtls = RTCDtlsTransport
    assert parameters(dtls._handle_rtp_data) == ["self", "data", "arrival_time_ms"]
    assert parameters(dtls._handle_rtcp_data) == ["self", "data"]
    assert parameters(dtls._send_rtp) == ["self", "data"]
    assert parameters(dtls._set_role) == ["self", "role"]
    source = inspect.getsource(dtls)
    assert "self._handle_rtp_data(data, arrival_time_ms=arrival_time_ms)" in source
    assert "self._handle_rtcp_data(data)" in source
    asked = {word.split("(")[0].split()[0] for word in source.split("self.transport.")[1:]}
    assert asked <= {"_recv", "_send", "role", "role,", "role:", 'role}"'}, asked


@pytest.fixture
async def path() -> AsyncIterator[IcePath]:
    path = IcePath(LOOPBACK)
    await path.gather_candidates()
    yield path
    await path.close()


async def test_loopback_is_an_address_like_any_other(path: IcePath) -> None:
    assert [one.host for one in path.local_candidates] == ["127.0.0.1"]


async def test_nothing_that_arrives_raises_or_ends_the_path(path: IcePath) -> None:
    # uvloop closes a socket whose protocol raises: that would be one datagram for a whole session.
    stun = bytes.fromhex("0001 0004 2112a442") + bytes(12) + bytes.fromhex("0024 0000")
    (line,) = path._protocols
    for data in (b"", b"\x00", stun, bytes(20), b"\x01\x01", b"\x80" * 12, b"\x16\xfe\xfd" * 20, b"\xff"):
        line.datagram_received(data, PEER)
    assert path._queue.empty()


async def test_media_of_strangers_does_not_even_wait(path: IcePath) -> None:
    await path.add([Candidate("1", 1, *PEER, "host")])
    path.media_received(b"\x80stranger", ("127.0.0.1", 40_002))
    assert path._queue.empty()
    path.media_received(b"\x80peer", PEER)
    assert path._queue.get_nowait() == (b"\x80peer", 1)


@pytest.mark.parametrize(
    ("first", "size", "taken"), [(128, 1500, 1), (128, 1501, 0), (191, 65_000, 0), (22, 4000, 1)]
)
async def test_media_longer_than_srtp_can_hold_does_not_end_the_session(
    path: IcePath, first: int, size: int, taken: int
) -> None:
    # It takes no keys to send one, only the peer's address: a ValueError would end DTLS.
    await path.add([Candidate("1", 1, *PEER, "host")])
    data = bytes([first]) + bytes(size - 1)
    path.media_received(data, PEER)
    assert path._queue.qsize() == taken
    if first == 128:
        policy = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND)
        with pytest.raises(pylibsrtp.Error if taken else ValueError):
            pylibsrtp.Session(policy).unprotect(data)


async def test_a_flood_is_held_back_to_a_bound(path: IcePath) -> None:
    await path.add([Candidate("1", 1, *PEER, "host")])
    for _ in range(5000):
        path.media_received(b"\x80flood", PEER)
    assert path._queue.qsize() == 1024


async def test_a_sign_of_life_is_noticed(path: IcePath) -> None:
    await path.add([Candidate("1", 1, *PEER, "host")])
    before = path.heard
    await asyncio.sleep(0.01)
    path.media_received(b"\x80peer", PEER)
    assert path.heard > before


@pytest.mark.parametrize(("begins", "words"), [(True, 2), (False, 0)])
async def test_who_begins_the_handshake_says_the_first_word_twice(*, begins: bool, words: int) -> None:
    # FFmpeg throws the first one away and would answer only what OpenSSL repeats after a second.
    class Overheard(IcePath):
        def __init__(self) -> None:
            super().__init__(LOOPBACK)
            self.sent: list[bytes] = []

        async def send(self, data: bytes) -> None:
            self.sent.append(data)

    path = Overheard()
    dtls = DtlsPath(path, lambda _: None, lambda _: None, begins=begins)
    handshake = asyncio.create_task(dtls.shake_hands([("sha-256", "AB")]))
    for _ in range(10):
        await asyncio.sleep(0)
    handshake.cancel()
    # A handshake record, and in it a ClientHello.
    assert [(data[0], data[13]) for data in path.sent] == [(22, 1)] * words
    assert len(set(path.sent)) <= 1


def closed(sockets: list[socket.socket]) -> list[tuple[str, int]]:
    names = [sock.getsockname()[:2] for sock in sockets]
    for sock in sockets:
        sock.close()
    return names


def test_a_range_of_ports_is_kept_to_and_can_be_used_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    door = Door(("127.0.0.1",), (port, port))
    first = door.bind(())
    with pytest.raises(OverCapacity, match="UDP port"):
        door.bind(())
    assert closed(first) == [("127.0.0.1", port)]
    assert closed(door.bind(())) == [("127.0.0.1", port)]


def test_everywhere_is_every_interface_and_loopback() -> None:
    hosts = [name[0] for name in closed(Door(None).bind(["127.0.0.2", "192.0.2.77"]))]
    # 192.0.2.77 is nobody's: an interface that is gone leaves the others.
    assert hosts[:2] == ["127.0.0.2", "127.0.0.1"]


async def test_the_door_goes_with_the_address_of_the_server() -> None:
    assert (await open_door(WhipSettings("127.0.0.1"))).addresses == ("127.0.0.1",)
    assert "127.0.0.1" in ((await open_door(WhipSettings("localhost"))).addresses or ())
    assert (await open_door(WhipSettings("0.0.0.0"))).addresses is None
    # Behind a proxy on the same machine, media still comes from outside.
    behind = await open_door(WhipSettings("127.0.0.1", address="203.0.113.5"))
    assert (behind.addresses, behind.public) == (None, "203.0.113.5")


async def test_the_public_side_of_nat_is_told_besides() -> None:
    path = IcePath(Door(("127.0.0.2", "127.0.0.1"), public="203.0.113.5"))
    try:
        await path.gather_candidates()
        inside, loopback, public = path.local_candidates
    finally:
        await path.close()
    assert (inside.host, loopback.host) == ("127.0.0.2", "127.0.0.1")
    assert (public.type, public.host, public.port) == ("srflx", "203.0.113.5", inside.port)
    assert (public.related_address, public.related_port) == (inside.host, inside.port)
    assert inside.priority > loopback.priority > public.priority
