"""What a node says of itself, and the heartbeat that carries it: JSON in Redis, checked by whoever reads it.

The takes that a node carries may be a thousand, and change rarely; everybody reads every heartbeat. So a
heartbeat holds the digest of that list only, and the list lies beside it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from workers.addresses import check_url

if TYPE_CHECKING:
    from collections.abc import Iterable

# As `longwave` names nodes: a host's name and a few digits. Nothing else reaches logs and terminals.
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LONGEST_TEXT: Final = 1024
_LONGEST_BEAT: Final = 8192
_MOST_CORES: Final = 4096


@dataclass(frozen=True, slots=True)
class Node:
    """One process. `url` is empty where it serves nobody, `encoder` (a fingerprint) where it does not encode.

    `carrying` are the takes (`room/take`) whose newest part an origin has from it; `capacity` is in cores,
    `load` in busy cores, `memory` in bytes, `latency_ms` the p99 of a part's way to the first origin lately;
    `started_s` is how long ago it started. `draining`: it takes up nothing while others do not drain, because
    it is about to leave, or, `cut_off`, because it reaches no origin.
    """

    id: str
    roles: frozenset[str] = frozenset()
    url: str = ""
    encoder: str = ""
    draining: bool = False
    cut_off: bool = False
    carrying: frozenset[str] = frozenset()
    capacity: int = 1
    load: float = 0.0
    memory: int = 0
    latency_ms: float | None = None
    listeners: int = 0
    version: str = ""
    started_s: float = 0.0

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError("a node's id is 1 to 128 of the characters A-Z a-z 0-9 . _ -")


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat as it was read: `count` is another one each time, `list_digest` that of its list."""

    node: Node
    count: int
    list_digest: str


def list_text(members: frozenset[str]) -> bytes:
    """A node's list of takes, as it lies beside its heartbeat."""
    return " ".join(sorted(members)).encode()


def parse_list(text: bytes) -> frozenset[str]:
    """The list of takes that `list_text` wrote. Raises ValueError for what is no text."""
    return frozenset(text.decode().split())


def digest_of(text: bytes) -> str:
    """Tells one list from another."""
    return blake2b(text, digest_size=8).hexdigest()


def encode_beat(node: Node, count: int, list_digest: str) -> bytes:
    """The heartbeat of a node, without its list."""
    return json.dumps(
        {
            "beat": count,
            "roles": sorted(node.roles),
            "url": node.url,
            "encoder": node.encoder,
            "draining": node.draining,
            "cut_off": node.cut_off,
            "carrying": list_digest,
            "capacity": node.capacity,
            "load": node.load,
            "memory": node.memory,
            "latency_ms": node.latency_ms,
            "listeners": node.listeners,
            "version": node.version,
            "started_s": node.started_s,
        }
    ).encode()


def decode_beat(node_id: bytes, text: bytes) -> Beat:
    """A heartbeat of somebody else. Raises ValueError for anything that is none; unknown members are fine."""
    if len(text) > _LONGEST_BEAT:
        raise ValueError(f"a heartbeat of {len(text)} bytes")
    try:
        said = json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested without end") from None
    if not isinstance(said, dict):
        raise ValueError("a heartbeat is a JSON object")  # noqa: TRY004 - one kind of error for all nonsense
    latency = said.get("latency_ms")
    node = Node(
        id=node_id.decode(),
        roles=frozenset(_texts(said, "roles")),
        url=_url(said),
        encoder=_text(said, "encoder"),
        draining=said.get("draining") is True,
        cut_off=said.get("cut_off") is True,
        capacity=int(_number(said, "capacity", 1, _MOST_CORES)),
        load=_number(said, "load"),
        memory=int(_number(said, "memory")),
        latency_ms=None if latency is None else _number(said, "latency_ms"),
        listeners=int(_number(said, "listeners")),
        version=_text(said, "version"),
        started_s=_number(said, "started_s"),
    )
    return Beat(node, int(_number(said, "beat", 0)), _text(said, "carrying"))


def _text(said: dict[str, Any], name: str) -> str:
    return _checked_text(name, said.get(name))


def _url(said: dict[str, Any]) -> str:
    """Where it is reached: whoever reads this connects there."""
    url = _text(said, "url")
    return check_url(url) if url else ""


def _texts(said: dict[str, Any], name: str) -> Iterable[str]:
    values = said.get(name)
    if not isinstance(values, list):
        raise ValueError(f"{name}: a list of texts")  # noqa: TRY004 - one kind of error for all nonsense
    return [_checked_text(name, value) for value in values]


def _checked_text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise ValueError(f"{name}: a printable text")
    return value


def _number(said: dict[str, Any], name: str, low: float = 0, high: float = 2.0**63) -> float:
    value = said.get(name)
    # bool is an int to Python.
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{name}: a number")  # noqa: TRY004 - one kind of error for all nonsense
    # Neither are NaN and infinity, which Python's JSON knows, nor numbers that are too large for a float.
    if not low <= value <= high:
        raise ValueError(f"{name}: from {low} to {high}")
    return value
