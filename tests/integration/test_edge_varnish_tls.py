"""TLS before a Varnish edge: HTTP/2 while there are threads for it, certificates, and what its log says."""

import contextlib
import re
import resource
import socket
import ssl
import struct
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.edges import Edge, Tls, running_edge, wait_for
from tests.redis_server import free_port

NAME = "edge.test"

pytestmark = [pytest.mark.needs("varnishd", "vmod_digest", "hitch"), pytest.mark.timeout(120)]


class Authority:
    """An authority of the tests' own, and what it issued."""

    def __init__(self, directory: Path) -> None:
        self._issuer = trustme.CA()
        self.file = directory / "ca.pem"
        self._issuer.cert_pem.write_to_path(str(self.file))
        self.tls = Tls(directory / "chain.pem", directory / "key.pem")
        self.issue()

    def issue(self) -> str:
        """A new certificate in the place of the old one; its serial number."""
        issued = self._issuer.issue_cert(NAME)
        self.tls.cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        self.tls.key.write_bytes(issued.private_key_pem.bytes())
        command = ["openssl", "x509", "-in", str(self.tls.cert), "-noout", "-serial"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge with a certificate and no origin."""
    origins = [f"127.0.0.1:{free_port()}"]
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # As a shell has it, or less.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before, 512), most))
    with running_edge("varnish", origins, tmp_path_factory.mktemp("edge"), tls=authority.tls) as edge:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
        yield edge


def curl(edge: Edge, authority: Authority, *more: str) -> str:
    """Status, HTTP version and body of /rooms.json."""
    command = ["curl", "-sS", "--cacert", str(authority.file), "--resolve", f"{NAME}:{edge.port}:127.0.0.1"]
    command += ["-w", "%{http_code} HTTP/%{http_version}", *more, f"https://{NAME}:{edge.port}/rooms.json"]
    for _ in range(5):
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        # One that comes in the moment in which hitch takes up something new may be reset.
        if told.returncode == 0:
            break
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.mark.needs("curl")
def test_tls_brings_http_2_to_those_who_speak_it(secure: Edge, authority: Authority) -> None:
    refusal = '{"error": "no origin answers: try again in a moment"}\n'
    assert curl(secure, authority, "--http2") == f"{refusal}503 HTTP/2"
    assert curl(secure, authority, "--http1.1") == f"{refusal}503 HTTP/1.1"
    assert secure.url.startswith("https://")


@pytest.mark.needs("curl")
def test_http_2_is_offered_to_nobody_new_while_threads_run_short(secure: Edge, authority: Authority) -> None:
    """Each of its connections holds one, and at the end of them nobody would be answered."""
    # It begins with 400.
    allow_threads(secure, 200)
    try:
        wait_for(lambda: curl(secure, authority, "--http2").endswith("503 HTTP/1.1"), "it is not offered")
        assert "edge has 400 of 400 threads: new connections are offered HTTP/1.1 alone" in secure.log
        secure.reload(())
        assert curl(secure, authority, "--http2").endswith("503 HTTP/1.1")
    finally:
        allow_threads(secure, 12_000)
    wait_for(lambda: curl(secure, authority, "--http2").endswith("503 HTTP/2"), "it is offered again")


def allow_threads(edge: Edge, each: int) -> None:
    """In either of the two pools of Varnish."""
    command = ["varnishadm", "-n", str(edge.working_directory), "param.set", "thread_pool_max", str(each)]
    subprocess.run(command, capture_output=True, check=True)


def test_one_connection_of_http_2_asks_for_few_things_at_once(secure: Edge, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    context.set_alpn_protocols(["h2"])
    address = ("127.0.0.1", secure.port)
    with (
        socket.create_connection(address, timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as connection,
    ):
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        with connection.makefile("rb") as said:
            head = said.read(9)
            payload = said.read(int.from_bytes(head[:3]))
    # RFC 9113 6.5: a frame of type 4; 3 is SETTINGS_MAX_CONCURRENT_STREAMS.
    assert head[3] == 4
    assert dict(struct.iter_unpack(">HI", payload))[3] == 32


def test_its_programs_may_open_as_many_files_as_there_are_listeners(secure: Edge) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    children = Path(f"/proc/{secure.pid}/task/{secure.pid}/children").read_text().split()
    places = [Path("/proc", child) for child in children]
    limits = {place.joinpath("comm").read_text().strip(): open_files(place) for place in places}
    assert {limits["varnishd"], limits["hitch"]} == {min(most, 131_072)}


def open_files(process: Path) -> int:
    """How many it may have open."""
    found = re.search(r"^Max open files +([0-9]+)", process.joinpath("limits").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def test_a_renewed_certificate_is_taken_up(secure: Edge, authority: Authority) -> None:
    serial = authority.issue()
    secure.reload(())
    address = f"127.0.0.1:{secure.port}"

    def shown() -> str:
        script = f"openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -serial"
        return subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, check=False
        ).stdout.strip()

    wait_for(lambda: shown() == serial, "the new one is shown")


def test_a_certificate_that_is_none_is_not_said_to_be_taken_up(secure: Edge, authority: Authority) -> None:
    taken_up = secure.log.count("edge has taken up its options again")
    authority.tls.cert.write_text("nonsense\n")
    try:
        secure.hang_up()
        refused = f"edge goes on as before: hitch: Error loading certificate file {authority.tls.cert}"
        wait_for(lambda: refused in secure.log, "it says why")
    finally:
        authority.issue()
    assert secure.log.count("edge has taken up its options again") == taken_up
    assert curl(secure, authority, "--http2").endswith("503 HTTP/2")


def test_no_log_says_who_came_and_broke_off(secure: Edge) -> None:
    """Nor that somebody did, for each of them; what hitch has to say of itself comes through."""
    came = [broken_off(secure, said) for said in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01", b"")]
    reloads = secure.log.count("Initiating configuration reload")
    secure.reload(())
    # It speaks through the same pipe, of each connection before it lets go of it.
    wait_for(
        lambda: secure.log.count("Initiating configuration reload") > reloads, "hitch says that it reloads"
    )
    assert [name for name in came if name in secure.log] == []
    assert "Handshake failure" not in secure.log
    assert "hitch 1." in secure.log


def broken_off(edge: Edge, said: bytes) -> str:
    """What hitch would call a connection on which only that was said; it has let go of it."""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
        host, port = connection.getsockname()
        connection.sendall(said)
        # It may have had enough of it already.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    return f"{host}:{port}"


def test_nobody_reaches_varnish_around_tls(secure: Edge) -> None:
    """Only hitch may: who else says whose request it is could purge."""
    path = secure.directory / "tls.sock"
    assert path.is_socket()
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(OSError, match=r"reset|refused|closed|disconnected|HTTP"):
        urllib.request.urlopen(f"http://127.0.0.1:{secure.port}/rooms.json", timeout=10)
