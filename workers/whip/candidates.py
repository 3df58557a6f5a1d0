"""ICE candidates and trickled fragments of SDP, as they come from a peer (RFC 8839 5.1, RFC 8840)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from contracts.errors import BadRequest, UnprocessableOffer

MAX_CANDIDATES: Final = 100
_KINDS: Final = frozenset({"host", "srflx", "relay"})
_FOUNDATION: Final = re.compile(r"[A-Za-z0-9+/]{1,32}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
# RFC 8839 5.4, and - _ =, which some libraries' base64 has.
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/=_-]{22,256}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address of a peer: where it may be reached over UDP. `kind` is host, srflx or relay."""

    foundation: str
    priority: int
    address: str
    port: int
    kind: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs connectivity checks: user name fragment and password. Raises BadRequest."""

    ufrag: str
    password: str

    def __post_init__(self) -> None:
        if not _UFRAG.fullmatch(self.ufrag) or not _PASSWORD.fullmatch(self.password):
            raise BadRequest("ice-ufrag or ice-pwd is not made of 4 and 22 to 256 ice-chars (RFC 8839 5.4)")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickled `application/trickle-ice-sdpfrag`: the candidates in it, and whose they are, if it says."""

    candidates: tuple[Candidate, ...]
    ufrag: str | None = None


def sdp_lines(text: str) -> list[str]:
    """The lines of SDP or of a fragment of it. Raises BadRequest where one is no `x=…`."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    found = [line for line in lines if line]
    for line in found:
        if len(line) < 2 or line[1] != "=" or not "a" <= line[0] <= "z":
            raise BadRequest(f"this is no SDP: {line[:40]!r} does not begin like v= or a=")
    return found


def read_fragment(text: str) -> Fragment:
    """The body of a PATCH (RFC 8840 9). Raises BadRequest, or UnprocessableOffer for too many candidates."""
    lines = sdp_lines(text)
    if not lines:
        raise BadRequest("the fragment is empty: send a=candidate lines")
    ufrag = next((line.partition(":")[2] for line in lines if line.startswith("a=ice-ufrag:")), None)
    return Fragment(read_candidates(lines), ufrag)


def read_candidates(lines: Iterable[str]) -> tuple[Candidate, ...]:
    """Those of `a=candidate:…` that can be of use. Raises UnprocessableOffer where there are too many."""
    values = [line.partition(":")[2] for line in lines if line.startswith("a=candidate:")]
    if len(values) > MAX_CANDIDATES:
        raise UnprocessableOffer(f"at most {MAX_CANDIDATES} candidates")
    return tuple(candidate for value in values if (candidate := _candidate(value)) is not None)


def _candidate(value: str) -> Candidate | None:
    """RFC 9725 4.3.2: what is not understood is discarded without a word.

    Not understood are TCP, a second component, and names: browsers hide their addresses behind `….local`
    names, and looking one up takes a second of multicast. Such a peer is found by the checks that it sends.
    """
    words = value.split()
    if len(words) < 8 or words[6] != "typ":
        return None
    foundation, component, transport, priority, address, port, _, kind = words[:8]
    if component != "1" or transport.lower() != "udp" or kind not in _KINDS:
        return None
    numbers = _NUMBER.fullmatch(priority) and _NUMBER.fullmatch(port)
    if not numbers or not 1 <= int(port) <= 65535 or not _FOUNDATION.fullmatch(foundation):
        return None
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    # A link-local IPv6 address means nothing without the interface that the peer does not say.
    useless = ip.is_multicast or ip.is_unspecified or ip.is_reserved or (ip.version == 6 and ip.is_link_local)
    if useless or int(priority) >= 2**31:
        return None
    return Candidate(foundation, int(priority), str(ip), int(port), kind)
