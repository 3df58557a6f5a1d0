"""The faulty link itself: a fault that does nothing would let every test behind it pass."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.tcp_proxy import TcpProxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it hears."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    peer, _ = server.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=_say_again, args=(peer,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        over.set()
        thread.join()


def _say_again(peer: socket.socket) -> None:
    with peer:
        try:
            while data := peer.recv(4096):
                peer.sendall(data)
        except OSError:
            return


def connect(link: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=5)


def test_passes_bytes_and_ends(echo: int) -> None:
    with TcpProxy(echo) as link, connect(link) as peer:
        peer.sendall(b"hello")
        assert peer.recv(100) == b"hello"
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(100) == b""
        assert link.connections == 1
        assert link.passed == 10


def test_delays(echo: int) -> None:
    with TcpProxy(echo) as link, connect(link) as peer:
        link.delay(0.15)
        began = time.monotonic()
        peer.sendall(b"x")
        assert peer.recv(1) == b"x"
        assert time.monotonic() - began >= 0.3


def test_throttles(echo: int) -> None:
    with TcpProxy(echo) as link:
        link.throttle(20)
        with connect(link) as peer:
            began = time.monotonic()
            peer.sendall(b"x" * 6)
            got = b""
            while len(got) < 6:
                got += peer.recv(6)
            assert time.monotonic() - began >= 0.3


def test_freezes_and_thaws(echo: int) -> None:
    with TcpProxy(echo) as link, connect(link) as peer:
        link.freeze()
        peer.sendall(b"x")
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(1)
        link.heal()
        peer.settimeout(5)
        assert peer.recv(1) == b"x"


def test_a_half_open_link_hides_that_the_other_side_is_gone(echo: int) -> None:
    with TcpProxy(echo) as link, connect(link) as peer:
        peer.sendall(b"x")
        assert peer.recv(1) == b"x"
        link.half_open()
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(0.3)
        with pytest.raises(TimeoutError):
            peer.recv(1)


def test_a_cut_link_resets_connections_and_refuses_new_ones(echo: int) -> None:
    with TcpProxy(echo) as link, connect(link) as peer:
        peer.sendall(b"x")
        assert peer.recv(1) == b"x"
        link.cut()
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
        with pytest.raises(ConnectionResetError), connect(link) as other:
            other.recv(1)
        link.heal()
        with connect(link) as again:
            again.sendall(b"y")
            assert again.recv(1) == b"y"
