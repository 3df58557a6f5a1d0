from __future__ import annotations

import gzip

import pytest

from origin.cache_policy import Kind
from origin.representation import accepts_gzip, content_etag, encode, etag_matches, media, playlist

TAKE = "20260131T200000Z-abc234"


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("*, gzip;q=0", False),
        ("xgzip", False),
        (";;,,=;q", False),
    ],
)
def test_gzip_is_for_those_who_allow_it(header: str | None, allowed: bool) -> None:
    assert accepts_gzip(header) is allowed


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        (None, False),
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ("*", True),
        ("abc", False),
        ('"abc-gz"', False),
        ("", False),
    ],
)
def test_if_none_match(header: str | None, matches: bool) -> None:
    assert etag_matches(header, '"abc"') is matches


def test_etags_are_of_the_content_however_it_is_cut() -> None:
    assert content_etag([b"ab", b"c"]) == content_etag([b"abc"])
    assert content_etag([b"abc"]) != content_etag([b"abd"])


def test_a_head_goes_over_the_wire_as_it_is() -> None:
    assert media(Kind.SEGMENT, (b"ab", b"c"), TAKE).head == (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: audio/mp4\r\n"
        b"Content-Length: 3\r\n"
        b"Cache-Control: public, max-age=31536000, immutable\r\n"
        b"ETag: " + content_etag([b"abc"]).encode() + b"\r\n"
        b"Access-Control-Allow-Origin: *\r\n"
        b"Access-Control-Expose-Headers: Date, ETag\r\n"
        b"Server: longwave\r\n"
        b"Accept-Ranges: none\r\n"
        b"Surrogate-Key: 20260131T200000Z-abc234\r\n"
    )


def test_a_packed_playlist_is_reproducible_and_has_an_etag_of_its_own() -> None:
    one, other = (playlist(Kind.PLAYLIST, encode("#EXTM3U\n", gzipped=True), TAKE) for _ in range(2))
    assert one.chunks == other.chunks
    assert gzip.decompress(one.chunks[0]) == b"#EXTM3U\n"
    assert one.etag == content_etag([b"#EXTM3U\n"], "-gz")
