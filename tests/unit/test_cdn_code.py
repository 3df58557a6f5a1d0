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
from contracts.listen import ListenKeys, listen_key
from tests.programs import path

pytestmark = pytest.mark.needs("node")
ROOT: Final = Path(__file__).parents[2]
TAKE: Final = "20260131T200000Z-abc234"
LIVE: Final = f"live/room/{TAKE}/64k/index.m3u8"
KEYS: Final = {"new.2026": listen_key(b"one"), "old": listen_key(b"other")}
SOON: Final = int(time.time()) + 600
PAST: Final = int(time.time()) - 1


def token(kid: str = "new.2026", room: str = "room", expires: int = SOON) -> str:
    return ListenKeys({kid: KEYS.get(kid, "")}).sign(room, expires)


GOOD: Final = [
    f"/p/{token()}/{LIVE}",
    f"/p/{token('old')}/{LIVE}",
    f"/p/{token()}/live/room/index.m3u8",
    f"/p/{token()}/live/room/{TAKE}/64k/3.1.m4s",
    f"/p/{token()}/replay/room/{TAKE}.m4a",
    f"/p/{token()}/replay/room/{TAKE}/chapters.json",
    f"/p/{token()}/listen/room.json",
    f"/p/{token()}/feeds/room.xml",
    f"/p/{token(room='a-room_2')}/live/a-room_2/index.m3u8",
]
BAD: Final = [
    f"/p/{token(expires=PAST)}/{LIVE}",
    f"/p/{token(room='other')}/{LIVE}",
    f"/p/{token()}/live/other/index.m3u8",
    f"/p/{token()}/replay/other/{TAKE}.m4a",
    f"/p/{token()}/listen/other.json",
    f"/p/{token()}/feeds/other.xml",
    # Another kid's key; a kid that is not there, checked with an empty key; members of all objects.
    f"/p/{token().replace('new.2026', 'old', 1)}/{LIVE}",
    f"/p/{token('gone')}/{LIVE}",
    f"/p/{ListenKeys({'__proto__': '[object Object]'}).sign('room', SOON)}/{LIVE}",
    f"/p/{ListenKeys({'constructor': 'function Object() { [native code] }'}).sign('room', SOON)}/{LIVE}",
    f"/p/{token()[:-1]}/{LIVE}",
    f"/p/{token()[:-1]}{'1' if token()[-1] == '0' else '0'}/{LIVE}",
    f"/p/{token().upper()}/{LIVE}",
    f"/p/{token()}0/{LIVE}",
    f"/p/{token().replace(str(SOON), '0' + str(SOON))}/{LIVE}",
    f"/p/{token().replace(str(SOON), str(SOON + 60))}/{LIVE}",
    f"/p/{token()}/metrics",
    f"/p/{token()}/publish/room/{TAKE}",
    f"/p/{token()}/live/room",
    f"/p/x/{LIVE}",
    f"/p/{LIVE}",
    "/p/",
]
QUERIES: Final = [
    ("_HLS_msn=5&_HLS_part=2", "_HLS_msn=5&_HLS_part=2"),
    ("_HLS_part=2&_HLS_msn=5", "_HLS_msn=5&_HLS_part=2"),
    ("utm=x&_HLS_skip=YES&_HLS_msn=5&_HLS_x=1", "_HLS_msn=5&_HLS_skip=YES"),
    ("_HLS_msn=5&_HLS_msn=6", "_HLS_msn=5&_HLS_msn=6"),
    ("", ""),
]
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
    """Its snippets are not run here; what they must not lack is looked for."""
    code = (ROOT / "infra/cdn/fastly.vcl").read_text()
    assert code.index("!table.contains(listen_keys, var.kid)") < code.index("digest.hmac_sha256(")
    assert code.index("unset req.http.Lw-Signed;") < code.index("set req.http.Lw-Signed = req.url;")
