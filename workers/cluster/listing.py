"""What one Redis says of takes: which it lists, and what it knows of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from redis.exceptions import ResponseError

from contracts.errors import LongwaveError
from contracts.take import MAX_SAMPLES
from workers.cluster.failure_reports import NOTHING_REPORTED, Reported, parse_reported
from workers.complaints import Complaints
from workers.nets import Net
from workers.redis_bus import keys
from workers.take_memo import TakeMemo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping, Sequence

    from contracts.take import TakeKey
    from workers.redis_bus.links import RedisLink

logger = structlog.get_logger()

# Without the loudness, which is most of a memo and of interest to owners only.
_FIELDS: Final = (b"header", b"gen", b"named", b"orders", b"ended", b"delivered")
# What is known of a take hardly changes: it is asked for again after so many seconds.
_ASK_AGAIN: Final = 3.0


class Held(NamedTuple):
    """The samples of a take that are on a bus: [first, top)."""

    first: int
    top: int


class Facts(NamedTuple):
    """What one Redis knows of a take. `memo` is None where nothing is `there`, or it makes no sense."""

    there: bool = False
    memo: TakeMemo | None = None
    failures: Reported = NOTHING_REPORTED
    delivered: bool = False


class Listing:
    """The takes of one Redis, as it gave them last. Every method raises BusUnavailable."""

    def __init__(self, link: RedisLink) -> None:
        self.link = link
        self.members: frozenset[TakeKey] = frozenset()
        self.facts: dict[TakeKey, Facts] = {}
        self._asked: dict[TakeKey, float] = {}
        self._parsed: dict[bytes, TakeKey | None] = {}
        self._net = Net("unexpected error in what a bus knows of a take")
        self._complaints = Complaints()

    async def look(self, known: Iterable[TakeKey], now: float) -> None:
        """Ask what is listed, and about takes: about those that come or go at once, about all every few s.

        `known` are takes that are of interest whether this Redis lists them or not.
        """
        known = frozenset(known)
        for key in self._asked.keys() - known - self.members:
            del self._asked[key], self.facts[key]
        due = [key for key, asked in self._asked.items() if now - asked >= _ASK_AGAIN]
        members = await self._ask(due, now, with_members=True)
        before, self.members = self.members, self._keys_of(members)
        news = {key for key in known | self.members if key not in self._asked} | (before - self.members)
        await self._ask([*news], now)

    async def held(self, key: TakeKey) -> Held | None:
        """What it has of the sound of a take; None where that is nothing."""
        pipe = self.link.client.pipeline(transaction=False)
        pipe.xrange(keys.pcm(key), count=1)
        pipe.xrevrange(keys.pcm(key), count=1)
        oldest, newest = await self.link.call("coordinate", pipe.execute())
        if not oldest or not newest:
            return None
        entry_id, fields = oldest[0]
        first, top = (int(text.partition(b"-")[0]) for text in (entry_id, newest[0][0]))
        start = fields.get(b"start", b"")
        if start.isdigit() and len(start) <= len(entry_id):
            first = min(int(start), first)
        # What follows, if anything does, makes no sense: readers leave it out.
        return Held(min(first, MAX_SAMPLES), min(top, MAX_SAMPLES))

    async def tell_delivered(self, delivered: Sequence[TakeKey]) -> None:
        """Say that origins have all of these takes."""
        pipe = self.link.client.pipeline(transaction=False)
        for key in delivered:
            # Noted before it leaves the list: whoever misses it there finds out why.
            pipe.hset(keys.take(key), b"delivered", b"1")
            pipe.expire(keys.take(key), keys.EXPIRES_SECONDS)
            pipe.srem(keys.TAKES, keys.member(key))
        await self._tell(pipe)

    async def strike(self, gone: Sequence[TakeKey]) -> None:
        """Take off the list what nobody knows anything of."""
        pipe = self.link.client.pipeline(transaction=False)
        pipe.srem(keys.TAKES, *map(keys.member, gone))
        await self._tell(pipe)

    async def _tell(self, pipe: Any) -> None:  # noqa: ANN401 - a pipeline, whose types are not to be had
        pipe.xadd(keys.CHANGES, {b"takes": b""}, maxlen=keys.CHANGES_HELD, approximate=True)
        await self.link.call("coordinate", pipe.execute())

    async def _ask(
        self, wanted: Sequence[TakeKey], now: float, *, with_members: bool = False
    ) -> Iterable[bytes]:
        """Learn about takes, and which are listed, in one round trip."""
        if not wanted and not with_members:
            return ()
        pipe = self.link.client.pipeline(transaction=False)
        for key in wanted:
            pipe.hmget(keys.take(key), _FIELDS)
            pipe.hgetall(keys.failures(key))
        if with_members:
            pipe.smembers(keys.TAKES)
        replies = await self.link.call("coordinate", _tolerant(pipe.execute(raise_on_error=False)))
        for number, key in enumerate(wanted):
            self.facts[key] = Facts(there=True)
            self._asked[key] = now
            with self._net.under(key):
                self.facts[key] = self._read(key, *replies[2 * number : 2 * number + 2])
        return replies[-1] if with_members and not isinstance(replies[-1], Exception) else ()

    def _keys_of(self, members: Iterable[bytes]) -> frozenset[TakeKey]:
        """The takes among them. A set is read several times a second: only what is new in it is parsed."""
        before = self._parsed
        self._parsed = {name: before[name] if name in before else self._parse(name) for name in members}
        return frozenset(key for key in self._parsed.values() if key is not None)

    def _parse(self, member: bytes) -> TakeKey | None:
        try:
            return keys.parse_member(member)
        except (LongwaveError, ValueError) as error:
            what, reason = "this is no take: ignored", str(error)[:200]
            self._complain(member, what, member=repr(member)[:80], reason=reason)
            return None

    def _read(self, key: TakeKey, values: object, failures: object) -> Facts:
        """What came of a take's hash and its failures; either may be something else altogether."""
        reported = parse_reported(failures)
        if not isinstance(values, list):
            return Facts(there=True, failures=reported)
        fields: Mapping[bytes, bytes] = {
            name: value for name, value in zip(_FIELDS, values, strict=True) if value is not None
        }
        if b"delivered" in fields or not fields:
            return Facts(there=bool(fields), failures=reported, delivered=bool(fields))
        try:
            return Facts(there=True, memo=TakeMemo.from_fields(fields), failures=reported)
        except ValueError as error:
            what = "a take that cannot be understood: nobody carries it"
            self._complain(key, what, room=key.room, take=key.take, reason=repr(error)[:200])
            return Facts(there=True, failures=reported)

    def _complain(self, about: object, what: str, **details: str) -> None:
        if self._complaints.admit(about):
            logger.error(what, bus=self.link.name, **details)


async def _tolerant(replies: Awaitable[list[Any]]) -> list[Any]:
    """The replies of a pipeline, with what is no hash, set or number in its place as an error."""
    answers = await replies
    for answer in answers:
        if isinstance(answer, Exception) and not _is_wrong_type(answer):
            raise answer
    return answers


def _is_wrong_type(error: Exception) -> bool:
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)
