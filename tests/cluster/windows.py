"""Do two origins say the same of a live take? Every address that a playlist lists, byte by byte."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.server import Server
from tests.soak.playlist import Listed, parse

_URI = re.compile(r'^[^#\s]\S*$|(?:EXT-X-PART:|EXT-X-MAP:).*URI="([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Compared:
    """`addresses` that one origin lists; of these, which the other has not, or with other bytes."""

    addresses: int
    different: tuple[str, ...]


def listed(origin: Server, room: str, rendition: str = "64k") -> Listed:
    """What an origin's playlist lists at this moment."""
    return parse(_playlist(origin, room, rendition)[1])


def compare(origin: Server, sister: Server, room: str, rendition: str = "64k") -> Compared:
    """All that `origin` lists, beside what its sister gives for it."""
    directory, text = _playlist(origin, room, rendition)
    uris = [match[1] or match[0] for match in _URI.finditer(text)]
    different = []
    for uri in uris:
        ours, theirs = origin.get(directory + uri), sister.get(directory + uri)
        if ours.status != 200 or (ours.status, ours.body) != (theirs.status, theirs.body):
            different.append(f"{uri}: {ours.status} and {theirs.status}")
    return Compared(len(uris), tuple(different))


def _playlist(origin: Server, room: str, rendition: str) -> tuple[str, str]:
    master = origin.get(f"/live/{room}/index.m3u8")
    assert master.status == 200, master.text
    (line,) = [each for each in master.text.splitlines() if each.endswith(f"/{rendition}/index.m3u8")]
    directory = f"/live/{room}/{line.removesuffix('index.m3u8')}"
    answer = origin.get(directory + "index.m3u8")
    assert answer.status == 200, answer.text
    return directory, answer.text
