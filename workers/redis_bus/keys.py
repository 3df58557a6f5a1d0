"""The names of everything in Redis. `{room}` is a hash tag: a room's keys lie in one slot of a cluster."""

from __future__ import annotations

from typing import Final

from contracts.take import TakeKey, parse_take_name, take_name

NODES: Final = b"lw:nodes"
"""Hash: node id → its heartbeat (JSON)."""
CARRYING: Final = b"lw:carrying"
"""Hash: node id → the takes that it carries, `room/take` each. A heartbeat says which list it is."""
TAKES: Final = b"lw:takes"
"""Set of `room/take`: takes that are live, or ended and not delivered to origins yet."""
CHANGES: Final = b"lw:changes"
"""Short stream that wakes whoever waits: an entry when a take begins or ends, when a node comes or goes."""
CHANGES_HELD: Final = 64
SHARED: Final = (NODES, CARRYING, TAKES, CHANGES)
"""What belongs to no take. With no node left that beats, these are gone after `EXPIRES_SECONDS`, too."""
EXPIRES_SECONDS: Final = 600
"""All keys of a take are gone so long after they were last touched."""
OWNER_TTL_MS: Final = 3000
"""An owner that gives no sign for so long is gone."""


CRASHES: Final = b"!crashes"
"""The field of `failures` that is no node's: ids have no `!`."""


def listeners(node_id: str) -> bytes:
    """String: what an origin counts, listeners by room (JSON). Lives some seconds."""
    return f"lw:listeners:{node_id}".encode()


def owner(room: str) -> bytes:
    """Hash `{node, url, gen}`: the one ingest that owns the room. Lives `OWNER_TTL_MS`."""
    return f"lw:{{{room}}}:owner".encode()


def generation(room: str) -> bytes:
    """Number: how many claims to the room there were. Lives `EXPIRES_SECONDS`, longer than an owner does."""
    return f"lw:{{{room}}}:gen".encode()


def live(room: str) -> bytes:
    """String: the id of the room's live take."""
    return f"lw:{{{room}}}:live".encode()


def take(key: TakeKey) -> bytes:
    """Hash: what is known of a take; see `workers.take_memo`."""
    return f"lw:{{{key.room}}}:take:{key.take}".encode()


def pcm(key: TakeKey) -> bytes:
    """Stream: the sound of a take; see `workers.redis_bus.entries`."""
    return f"lw:{{{key.room}}}:pcm:{key.take}".encode()


def events(key: TakeKey) -> bytes:
    """List: all that happened in a take, JSON each, oldest first."""
    return f"lw:{{{key.room}}}:events:{key.take}".encode()


def failures(key: TakeKey) -> bytes:
    """Hash: node id → how often encoding this take failed there lately; `CRASHES` → processes that it ended.

    Lives for `EXPIRES_SECONDS` after the last of them.
    """
    return f"lw:{{{key.room}}}:failures:{key.take}".encode()


def room(name: str) -> bytes:
    """String: the room's record as the storage has it, for a while."""
    return f"lw:{{{name}}}:room".encode()


def member(key: TakeKey) -> bytes:
    """A take in `TAKES`."""
    return take_name(key).encode()


def parse_member(text: bytes) -> TakeKey:
    """The take that `member` named. Raises BadRequest or ValueError for anything else."""
    return parse_take_name(text.decode())
