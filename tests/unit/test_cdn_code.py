"""The code that CDNs run for private rooms lets in whom the origin lets in, and nobody else.

It is run by node, with stand-ins for what each CDN's runtime brings; the tokens are made as Longwave does.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

from contracts.errors import Forbidden
from contracts.listen import ListenKeys
from tests.programs import path
from tests.signed_addresses import BAD, GOOD, KEYS, LIVE, QUERIES

pytestmark = pytest.mark.needs("node")
ROOT: Final = Path(__file__).parents[2]
CDNS: Final = ["cloudfront", "cloudflare", "akamai"]


def ask(requests: list[tuple[str, str]]) -> dict[str, list[tuple[int, str]]]:
    """What each CDN's code makes of requests: a status, or 0 and the query with which it goes on."""
    command = [path("node"), str(ROOT / "tests/cdn_code.mjs"), str(ROOT)]
    asked = json.dumps({"keys": KEYS, "requests": requests})
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    return {
        name: [(status, query) for status, query in rows] for name, rows in json.loads(done.stdout).items()
    }


@pytest.fixture(scope="module")
def answers() -> dict[str, list[tuple[int, str]]]:
    """To everything that is asked here, so that node starts once."""
    return ask([(each, "") for each in (*GOOD, *BAD)] + [(GOOD[0], query) for query, _ in QUERIES])


@pytest.mark.parametrize("cdn", CDNS)
def test_who_has_a_token_of_the_room_is_let_in(answers: dict[str, list[tuple[int, str]]], cdn: str) -> None:
    statuses = [status for status, _ in answers[cdn][: len(GOOD)]]
    assert dict(zip(GOOD, statuses, strict=True)) == dict.fromkeys(GOOD, 0)


@pytest.mark.parametrize("cdn", CDNS)
def test_nobody_else_is(answers: dict[str, list[tuple[int, str]]], cdn: str) -> None:
    statuses = [status for status, _ in answers[cdn][len(GOOD) : len(GOOD) + len(BAD)]]
    assert dict(zip(BAD, statuses, strict=True)) == dict.fromkeys(BAD, 403)


@pytest.mark.parametrize("cdn", ["cloudfront", "cloudflare"])
def test_directives_come_in_one_order_and_alone(answers: dict[str, list[tuple[int, str]]], cdn: str) -> None:
    """At Akamai the cache key does that."""
    asked = answers[cdn][len(GOOD) + len(BAD) :]
    assert asked == [(0, query) for _, query in QUERIES]


def test_the_origin_agrees() -> None:
    """What is good here is good there: the same tokens, checked by the origin's own code."""
    keys = ListenKeys(KEYS)
    keys.check(GOOD[0].split("/")[2], "room", time.time())
    keys.check(GOOD[1].split("/")[2], "room", time.time())
    for address in BAD[:2]:
        with pytest.raises(Forbidden):
            keys.check(address.split("/")[2], "room", time.time())


def test_unsigned_playlists_pass_cloudfront_with_their_directives_in_order() -> None:
    assert ask([(f"/{LIVE}", "_HLS_part=2&_HLS_msn=5")])["cloudfront"] == [(0, "_HLS_msn=5&_HLS_part=2")]


def test_fastly_checks_no_token_with_an_empty_key() -> None:
    """Its code is not run here; what it must not lack is looked for."""
    code = (ROOT / "infra/cdn/fastly.vcl").read_text()
    assert code.index("!table.contains(listen_keys, var.kid)") < code.index("digest.hmac_sha256(")
    assert code.index("unset req.http.Lw-Signed;") < code.index("set req.http.Lw-Signed = req.url;")


def test_fastly_remembers_no_pass_after_a_refusal() -> None:
    """One listener's bad token would let everybody through to the origin."""
    fetch = (ROOT / "infra/cdn/fastly.vcl").read_text().partition("sub vcl_fetch {")[2].partition("\n}\n")[0]
    refused, error, passed = fetch.partition("if (beresp.status >= 400) {")
    assert error
    assert "return(pass)" not in refused
    assert passed.index("return(deliver);") < passed.index("return(pass);")
