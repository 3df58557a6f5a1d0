"""What a host may set for WHIP: servers for ICE, ports for a firewall, an address behind NAT."""

from __future__ import annotations

import json

import pytest

from workers.whip.settings import IceServer, parse_address, parse_ice_servers, parse_udp_ports


def test_a_stun_server_is_an_address() -> None:
    servers = parse_ice_servers("stun:stun.example.net:3478, stun:other.example.net")
    assert [server.link() for server in servers] == [
        '<stun:stun.example.net:3478>; rel="ice-server"',
        '<stun:other.example.net>; rel="ice-server"',
    ]


def test_a_turn_server_comes_with_what_it_asks_for() -> None:
    urls = ["turn:t.example.net?transport=udp", "turns:t.example.net"]
    text = json.dumps([{"urls": urls, "username": "u", "credential": 'a"b\\c'}])
    first, second = parse_ice_servers(text)
    assert first.link() == (
        '<turn:t.example.net?transport=udp>; rel="ice-server"; username="u"; '
        'credential="a\\"b\\\\c"; credential-type="password"'
    )
    assert second.url == "turns:t.example.net"


def test_credentials_are_not_shown_by_accident() -> None:
    assert "secret" not in repr(IceServer("turn:t.example.net", "u", "secret"))


@pytest.mark.parametrize(
    "text",
    [
        "http://example.net",
        "stun:",
        "stun:a b",
        'stun:a>; rel="x"',
        "[",
        "[1]",
        '[{"urls": 1}]',
        '[{"urls": "turn:t", "username": "u"}]',
        '[{"urls": "turn:t", "username": "u", "credential": 5}]',
        '[{"urls": "turn:t", "username": "u\\n", "credential": "c"}]',
        '[{"urls": "turn:t", "extra": 1}]',
    ],
)
def test_what_is_no_ice_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_ice_servers(text)


def test_ports_are_a_range() -> None:
    assert parse_udp_ports("50000-50999") == (50_000, 50_999)


@pytest.mark.parametrize("text", ["", "50000", "50999-50000", "80-90", "50000-70000", "a-b"])
def test_what_is_no_range_of_ports_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        parse_udp_ports(text)


@pytest.mark.parametrize("text", ["", "example.net", "0.0.0.0", "224.0.0.1"])
def test_what_nobody_can_reach_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(text)


def test_an_address_may_be_ipv6() -> None:
    assert parse_address(" 2001:DB8::1 ") == "2001:db8::1"
