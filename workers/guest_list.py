"""What the host has ordered of speakers in one take: who is muted, and who may not come back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from contracts.access import Grant
from contracts.errors import BadRequest, Forbidden


@dataclass(frozen=True, slots=True)
class HostOrders:
    """Names that are muted, and names and token ids that are removed; they hold until the take ends."""

    muted: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    removed_ids: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, list[str]]:
        """For a file."""
        return {
            "muted": sorted(self.muted),
            "removed": sorted(self.removed),
            "removed_ids": sorted(self.removed_ids),
        }

    @classmethod
    def from_json(cls, obj: object) -> HostOrders:
        """From `to_json`'s form; what is missing was never ordered. Raises BadRequest on anything else."""
        if not isinstance(obj, dict):
            raise BadRequest("orders: a JSON object is wanted")
        return cls(*(_names(obj.get(key, [])) for key in ("muted", "removed", "removed_ids")))


NO_ORDERS: Final = HostOrders()


class GuestList:
    """The orders as they stand; `orders` is a value to be stored after each change."""

    def __init__(self, orders: HostOrders = NO_ORDERS) -> None:
        self.orders = orders

    def check(self, name: str | None, grant: Grant) -> None:
        """Raises Forbidden for who was removed, by name or by token."""
        if name in self.orders.removed or (grant.id is not None and grant.id in self.orders.removed_ids):
            raise Forbidden("the host has removed you from this take")

    def is_muted(self, name: str | None) -> bool:
        """Whoever speaks under `name` is not to be heard."""
        return name in self.orders.muted

    def mute(self, name: str) -> bool:
        """From here on; False where it was so already."""
        before = self.orders
        self.orders = replace(before, muted=before.muted | {name})
        return self.orders != before

    def unmute(self, name: str) -> bool:
        """From here on; False where it was so already."""
        before = self.orders
        self.orders = replace(before, muted=before.muted - {name})
        return self.orders != before

    def remove(self, name: str, grants: Collection[Grant]) -> None:
        """Neither `name` nor the tokens of `grants` come back in this take."""
        ids = {grant.id for grant in grants if grant.id is not None}
        orders = self.orders
        self.orders = replace(orders, removed=orders.removed | {name}, removed_ids=orders.removed_ids | ids)

    def free_name(self, taken: Collection[str | None]) -> str:
        """A name for a voice that came without: `Guest 1`, or the next that says nobody else."""
        number = 1
        while (name := f"Guest {number}") in taken or name in self.orders.removed or self.is_muted(name):
            number += 1
        return name


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BadRequest("orders: lists of names")
    return frozenset(value)
