"""Addresses of peers: those that can be of use are kept, all others discarded without a word."""

from __future__ import annotations

import pytest

from contracts.errors import BadRequest, UnprocessableOffer
from workers.whip.candidates import Candidate, read_candidates, read_fragment

HOST = "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw"


def test_an_address_is_read() -> None:
    assert read_candidates([HOST]) == (Candidate("1387637174", 2122260223, "192.0.2.1", 61764, "host"),)


@pytest.mark.parametrize(
    "value",
    [
        "1 1 UDP 1694498815 198.51.100.1 3478 typ srflx raddr 192.0.2.1 rport 9",
        "1 1 udp 41885439 2001:db8::1 3478 typ relay",
    ],
)
def test_addresses_behind_nat_and_of_relays_are_kept(value: str) -> None:
    assert len(read_candidates([f"a=candidate:{value}"])) == 1


@pytest.mark.parametrize(
    "value",
    [
        "1 1 udp 2113937151 0b1d2e3f-aaaa-bbbb-cccc-0123456789ab.local 50000 typ host",
        "1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
        "1 2 udp 2122260222 192.0.2.1 61765 typ host",
        "1 1 udp 2122260223 224.0.0.251 5353 typ host",
        "1 1 udp 2122260223 0.0.0.0 61764 typ host",
        "1 1 udp 2122260223 fe80::1 61764 typ host",
        "1 1 udp 2122260223 192.0.2.1 0 typ host",
        "1 1 udp 2122260223 192.0.2.1 65536 typ host",
        "1 1 udp 99999999999 192.0.2.1 9 typ host",
        "1 1 udp 4294967295 192.0.2.1 9 typ host",
        "1 1 udp 2122260223 192.0.2.1 9 typ prflx",
        "1 1 udp ² 192.0.2.1 9 typ host",
        "nonsense",
        "",
    ],
)
def test_what_is_of_no_use_is_discarded(value: str) -> None:
    assert read_candidates([f"a=candidate:{value}"]) == ()


def test_more_than_a_hundred_are_refused() -> None:
    lines = [HOST.replace("61764", str(1024 + n)) for n in range(101)]
    assert len(read_candidates(lines[:100])) == 100
    with pytest.raises(UnprocessableOffer):
        read_candidates(lines)


def test_a_trickled_fragment_says_whose_it_is() -> None:
    lines = ["a=ice-ufrag:EsAw", "a=ice-pwd:x", "m=audio 9 RTP/AVP 0", "a=mid:0", HOST, "a=end-of-candidates"]
    text = "\r\n".join(lines)
    fragment = read_fragment(text)
    assert fragment.ufrag == "EsAw"
    assert len(fragment.candidates) == 1


@pytest.mark.parametrize("text", ["", "\r\n\r\n", "candidate:1", '{"candidate": ""}'])
def test_what_is_no_fragment_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        read_fragment(text)
