"""Where a room says that it is to be listened to: `GET /listen/{room}.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from yarl import URL

from contracts.errors import UsageError
from longwave.load.base import Base, base_of


@dataclass(frozen=True, slots=True)
class Standing:
    """What a room said: its tier, the servers of that tier, where its playlist is there, when to ask again.

    `bases` may begin paths of their own (`https://cdn.example.net/audio`).
    """

    tier: str
    bases: tuple[tuple[Base, bytes], ...]
    playlist: bytes
    private: bool
    ask_again: float

    @classmethod
    def read(cls, asked: Base, body: bytes) -> Self | None:
        """What an answer of `asked` says, or None where it says nothing of use."""
        try:
            found = json.loads(body)
            return cls(
                str(found["tier"]),
                tuple(_place(asked, str(each)) for each in found["bases"]) or ((asked, b""),),
                str(found["playlist"]).encode("ascii"),
                found.get("private") is True,
                max(1.0, float(found["ask_again"])),
            )
        except (ValueError, KeyError, TypeError, UsageError, RecursionError):
            return None


def _place(asked: Base, text: str) -> tuple[Base, bytes]:
    if not text:
        return asked, b""
    url = URL(text)
    return base_of(url), url.raw_path.rstrip("/").encode()
