"""What an origin has of a take, as it tells workers and its sisters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from contracts.position import Position
from contracts.take import MAX_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of segments and parts, as addresses have them.
_MAX_NUMBER: Final = 10**12


@dataclass(frozen=True, slots=True)
class RenditionState:
    """What an origin has of one rendition: first listed MSN, the next position it takes, and its gaps."""

    first: int | None
    next: Position
    gaps: tuple[int, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The wire form."""
        return {
            "first": self.first,
            "next": {"msn": self.next.msn, "part": self.next.part},
            "gaps": [*self.gaps],
        }

    @classmethod
    def from_json(cls, obj: Any) -> RenditionState:  # noqa: ANN401 - parsed JSON
        """From the wire form. Raises KeyError, TypeError or ValueError on nonsense."""
        first = obj["first"]
        return cls(
            first=None if first is None else _number(first),
            next=Position(_number(obj["next"]["msn"]), _number(obj["next"]["part"])),
            gaps=tuple(map(_number, obj["gaps"])),
        )


@dataclass(frozen=True, slots=True)
class TakeState:
    """The answer of `GET /publish/{room}/{take}`. `end` is the take's length in samples once it has ended."""

    renditions: Mapping[str, RenditionState]
    end: int | None = None

    def to_json(self) -> dict[str, object]:
        """The wire form."""
        states = {name: state.to_json() for name, state in self.renditions.items()}
        return {"renditions": states, "end": self.end}

    @classmethod
    def from_json(cls, obj: Any) -> TakeState:  # noqa: ANN401 - parsed JSON
        """From the wire form. Raises KeyError, TypeError or ValueError on nonsense."""
        states = {str(name): RenditionState.from_json(state) for name, state in obj["renditions"].items()}
        return cls(renditions=states, end=None if obj["end"] is None else _number(obj["end"], MAX_SAMPLES))


def _number(value: object, high: int = _MAX_NUMBER) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
        raise ValueError(f"a whole number from 0 to {high}")
    return value
