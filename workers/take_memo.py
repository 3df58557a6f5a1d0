"""What Redis knows of a take beside its sound: enough for another ingest to continue it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.errors import BadRequest
from contracts.take import MAX_SAMPLES, TakeHeader
from pipeline.mix.loudness import LoudnessBin
from workers.guest_list import NO_ORDERS, HostOrders

MAX_GENERATION: Final = 2**53
"""Scripts in Redis reckon with floats: above it one more is not another number."""


@dataclass(frozen=True, slots=True)
class TakeMemo:
    """The hash of a take. `generation` counts its owners; `named`: listeners were told that somebody speaks.

    `ended` is its length in samples once it is over.
    """

    header: TakeHeader
    generation: int
    named: bool = False
    orders: HostOrders = NO_ORDERS
    loudness: tuple[LoudnessBin, ...] = ()
    ended: int | None = None

    def to_fields(self) -> dict[bytes, bytes]:
        """As the hash holds it. `gen` and `ended` are plain numbers: scripts read them."""
        fields = {
            b"header": json.dumps(self.header.to_json()).encode(),
            b"gen": str(self.generation).encode(),
            b"named": b"1" if self.named else b"0",
            b"orders": json.dumps(self.orders.to_json()).encode(),
            b"loudness": json.dumps(self.loudness).encode(),
        }
        if self.ended is not None:
            fields[b"ended"] = str(self.ended).encode()
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes]) -> TakeMemo:
        """From the hash. Raises ValueError where it is none."""
        try:
            return cls._read(fields)
        except (KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"not what is known of a take: {error!r:.80}") from None
        except BadRequest as error:
            raise ValueError(f"not what is known of a take: {error.message:.80}") from None

    @classmethod
    def _read(cls, fields: Mapping[bytes, bytes]) -> TakeMemo:
        ended = fields.get(b"ended")
        return cls(
            header=TakeHeader.from_json(json.loads(fields[b"header"])),
            generation=parse_generation(fields[b"gen"]),
            named=fields.get(b"named") == b"1",
            orders=HostOrders.from_json(json.loads(fields.get(b"orders", b'{"muted": [], "removed": []}'))),
            loudness=tuple(
                LoudnessBin(int(i), int(n), float(e))
                for i, n, e in json.loads(fields.get(b"loudness", b"[]"))
            ),
            ended=None if ended is None else _number(ended, MAX_SAMPLES),
        )


def parse_generation(text: bytes) -> int:
    """The generation of an owner, as the bus has it. Raises ValueError."""
    return _number(text, MAX_GENERATION)


def _number(text: bytes, high: int) -> int:
    number = int(text)
    if not 0 <= number <= high:
        raise ValueError(f"a whole number from 0 to {high}")
    return number
