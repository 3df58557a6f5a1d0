"""`derived.json`: what was made from a finished take, and the digests by which each answer is checked.

    {"meta": sha256, "record": sha256,
     "objects": {"replay.m4a": {"bytes", "sha256", "blocks": [sha256, …]}, …}}

`blocks` are the digests of every `BLOCK` bytes: who serves a range reads the blocks that hold it and checks
them, so that bytes of an older version, or damaged ones, are never mixed into an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

BLOCK: Final = 256 * 1024
"""Bytes of a block that is checked as one."""


@dataclass(frozen=True, slots=True)
class DerivedObject:
    """One object: its size, its SHA-256, and those of its blocks, all in hex."""

    size: int
    sha256: str
    blocks: tuple[str, ...]

    @property
    def etag(self) -> str:
        """The strong ETag that listeners get."""
        return f'"{self.sha256[:32]}"'


@dataclass(frozen=True, slots=True)
class Derived:
    """Everything that was made from one version of `meta.json`: `meta` is the SHA-256 of its bytes.

    `record` is that of `take.json`, which has nobody else to vouch for it.
    """

    meta: str
    record: str
    objects: Mapping[str, DerivedObject]

    def to_json(self) -> dict[str, object]:
        """The file's form."""
        return {
            "meta": self.meta,
            "record": self.record,
            "objects": {
                name: {"bytes": each.size, "sha256": each.sha256, "blocks": [*each.blocks]}
                for name, each in self.objects.items()
            },
        }

    @classmethod
    def from_json(cls, obj: Any) -> Derived:  # noqa: ANN401 - parsed JSON
        """From the file's form. Raises KeyError, TypeError or ValueError on nonsense."""
        return cls(
            meta=str(obj["meta"]),
            record=str(obj["record"]),
            objects={
                str(name): DerivedObject(
                    int(each["bytes"]), str(each["sha256"]), tuple(str(block) for block in each["blocks"])
                )
                for name, each in obj["objects"].items()
            },
        )


@dataclass(slots=True)
class Digester:
    """Digests bytes that pass by: `yield from digester.through(chunks)`, then `done()`."""

    _whole: Any = field(default_factory=sha256)
    _block: Any = field(default_factory=sha256)
    _in_block: int = 0
    _size: int = 0
    _blocks: list[str] = field(default_factory=list)

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, digested."""
        for chunk in chunks:
            self.add(chunk)
            yield chunk

    def add(self, data: bytes) -> None:
        """Digest what comes next."""
        self._whole.update(data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            taken = view[: BLOCK - self._in_block]
            self._block.update(taken)
            self._in_block += len(taken)
            view = view[len(taken) :]
            if self._in_block == BLOCK:
                self._close_block()

    def done(self) -> DerivedObject:
        """What passed by; nothing may follow."""
        if self._in_block:
            self._close_block()
        return DerivedObject(self._size, self._whole.hexdigest(), tuple(self._blocks))

    def _close_block(self) -> None:
        self._blocks.append(self._block.hexdigest())
        self._block, self._in_block = sha256(), 0
