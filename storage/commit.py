"""`take.json`, the commit mark: a take's story, what was archived of it and what was not. Immutable.

    {…the story…,
     "gaps": [{"from", "to", "why"}],
     "fragments": {"64k": [{"msn", "bytes", "sha256"}]}}

A fragment that was joined of what two workers had says `"joined": true`, and is named by its bytes.
A take that has one is finished: all that will ever be archived of it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.take import TakeKey
from storage.names import fragment_name, piece_name
from storage.take_record import Span, TakeRecord


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that were never archived, and what is known of the reason."""

    span: Span
    why: str


@dataclass(frozen=True, slots=True)
class FragmentRecord:
    """One archived fragment: the segment that it begins with (or would), its size and its SHA-256 in hex.

    `joined` says that it is not what was put first, and lies beside that.
    """

    msn: int
    size: int
    sha256: str
    joined: bool = False

    def name(self, key: TakeKey, rendition: str) -> str:
        """The object that it is."""
        if self.joined:
            return piece_name(key, rendition, self.msn, self.sha256)
        return fragment_name(key, rendition, self.msn)

    def to_json(self) -> dict[str, object]:
        """`{"msn", "bytes", "sha256"}`, and `"joined": true` where it is."""
        told: dict[str, object] = {"msn": self.msn, "bytes": self.size, "sha256": self.sha256}
        return {**told, "joined": True} if self.joined else told


@dataclass(frozen=True, slots=True)
class TakeCommit:
    """A finished take. `fragments` by rendition, in order; a sample in no gap is in a fragment of each."""

    story: TakeRecord
    gaps: tuple[Gap, ...]
    fragments: Mapping[str, tuple[FragmentRecord, ...]]

    def to_json(self) -> dict[str, object]:
        """The file's form."""
        return {
            **self.story.to_json(),
            "gaps": [{"from": gap.span[0], "to": gap.span[1], "why": gap.why} for gap in self.gaps],
            "fragments": {
                rendition: [each.to_json() for each in fragments]
                for rendition, fragments in self.fragments.items()
            },
        }

    @classmethod
    def from_json(cls, obj: Any) -> TakeCommit:  # noqa: ANN401 - parsed JSON
        """From the file's form. Raises KeyError, TypeError or ValueError (BadRequest) on nonsense."""
        return cls(
            story=TakeRecord.from_json(obj),
            gaps=tuple(Gap((int(gap["from"]), int(gap["to"])), str(gap["why"])) for gap in obj["gaps"]),
            fragments={
                str(rendition): tuple(
                    FragmentRecord(
                        int(each["msn"]),
                        int(each["bytes"]),
                        str(each["sha256"]),
                        joined=bool(each.get("joined", False)),
                    )
                    for each in fragments
                )
                for rendition, fragments in obj["fragments"].items()
            },
        )
