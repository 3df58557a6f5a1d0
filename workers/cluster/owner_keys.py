"""Who owns which room, as one Redis knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from contracts.errors import LongwaveError
from contracts.take import MAX_SAMPLES, TakeEvent, TakeKey
from pipeline.mix.loudness import LoudnessMeter
from storage.event_log import parse_event
from workers.addresses import check_url
from workers.claims import Continued
from workers.complaints import Complaints
from workers.redis_bus import keys
from workers.redis_bus.links import RedisLink, RedisRefuses
from workers.redis_bus.scripts import Script, script_of
from workers.take_memo import TakeMemo

log = structlog.get_logger()

_KIND: Final = "coordinate"
_EVENTS_AT_ONCE: Final = 1000
_LOOK: Final = script_of(__package__, "look.lua")
_CLAIM: Final = script_of(__package__, "claim.lua")
_RENEW: Final = script_of(__package__, "renew.lua")
_RELEASE: Final = script_of(__package__, "release.lua")
_EXPIRES_MS: Final = keys.EXPIRES_SECONDS * 1000


@dataclass(frozen=True, slots=True)
class Look:
    """What a Redis says of a room; `generation` is the highest that it knows of. Empty: there is none."""

    node: str
    url: str
    generation: int
    live: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A take that a Redis lists. `owned`: its room is; `live`: it is its room's live one."""

    owned: bool
    live: bool
    closed: bool


class OwnerKeys:
    """One Redis, asked by the ingest `node` at `url`. Everything here raises BusUnavailable.

    A claim holds `ttl_ms` milliseconds, unless it is renewed.
    """

    def __init__(self, link: RedisLink, node: str, url: str, ttl_ms: int) -> None:
        self.link = link
        self._node = node
        self._url = url
        self._ttl_ms = ttl_ms
        self._complaints = Complaints()

    async def uptime(self) -> float:
        """For how many seconds this server has been running."""
        info = await self.link.call(_KIND, self.link.client.info("server"))
        return float(info["uptime_in_seconds"])

    async def look(self, room: str) -> Look:
        """Who owns `room`."""
        return self._look(room, await self._eval(_LOOK, room, _hashes(room)))

    async def looks(self, rooms: Collection[str]) -> dict[str, Look]:
        """Who owns each of `rooms`, in one round trip; nothing of those whose keys make no sense."""
        answers = await self._each(_LOOK, {room: (_hashes(room),) for room in rooms})
        looks = {}
        for room, answer in zip(rooms, answers, strict=True):
            try:
                if isinstance(answer, RedisRefuses):
                    raise answer
                looks[room] = self._look(room, answer)
            except RedisRefuses as error:
                self._complain(room, "a room's keys make no sense", room=room, reason=error.message)
        return looks

    def _look(self, room: str, answer: Any) -> Look:  # noqa: ANN401 - what a script gave
        name, url, generation, live = answer
        try:
            node = name.decode()
            address = url.decode() if node in {"", self._node} else check_url(url.decode())
        except ValueError:
            raise RedisRefuses(f"redis {self.link.name}: the owner of room {room} makes no sense") from None
        return Look(node, address, int(generation), live.decode(errors="replace"))

    async def claim(self, room: str, generation: int) -> bool:
        """Own `room`; False where somebody was faster."""
        return bool(await self._eval(_CLAIM, room, *self._terms(room, generation)))

    async def renew(self, rooms: Mapping[str, int]) -> dict[str, int]:
        """Say again that `rooms` are owned, with their generations; those that are not, and by which one.

        Without rooms it asks all the same, so that the link knows whether this Redis is there.
        """
        if not rooms:
            await self.link.call(_KIND, self.link.client.exists(keys.NODES))
            return {}
        answers = await self._each(_RENEW, {room: self._terms(room, n) for room, n in rooms.items()})
        others = {}
        for room, answer in zip(rooms, answers, strict=True):
            if isinstance(answer, RedisRefuses):
                self._complain(room, "a room's keys make no sense", room=room, reason=answer.message)
            elif int(answer):
                others[room] = int(answer)
        return others

    async def release(self, rooms: Mapping[str, int]) -> None:
        """Give up `rooms` that were owned with these generations, or older ones."""
        terms = {room: (self._node, generation) for room, generation in rooms.items()}
        await self._each(_RELEASE, terms)

    async def read(self, key: TakeKey) -> Continued | None:
        """A take as this Redis has it; None where it does not know it."""
        pipe = self.link.client.pipeline(transaction=False)
        pipe.hgetall(keys.take(key))
        pipe.lrange(keys.events(key), 0, _EVENTS_AT_ONCE - 1)
        fields, events = await self.link.call(_KIND, pipe.execute())
        try:
            memo = TakeMemo.from_fields(fields)
            LoudnessMeter(memo.header.settings.channels).resume(memo.loudness)
            top = min(max(0, int(fields.get(b"top", 0))), MAX_SAMPLES)
        except ValueError as error:
            if fields:
                what = "a take in redis cannot be read"
                self._complain(key, what, room=key.room, take=key.take, reason=repr(error)[:200])
            return None
        told = await self._all_told(key, events)
        return Continued(key, memo, top, told, closed=b"closed" in fields)

    async def listed(self) -> dict[TakeKey, Listed]:
        """Takes that are live, or not delivered yet. Whatever lost its hash is taken from the list."""
        members: set[Any] = await self.link.call(_KIND, self.link.client.smembers(keys.TAKES))
        if not members:
            return {}
        found = {key: member for member in members if (key := _key(member)) is not None}
        pipe = self.link.client.pipeline(transaction=False)
        for key in found:
            pipe.exists(keys.owner(key.room))
            pipe.get(keys.live(key.room))
            pipe.hmget(keys.take(key), "gen", "closed")
        answers = iter(await self.link.replies(_KIND, pipe))
        listed, gone = {}, set(members) - set(found.values())
        for (key, member), owned, live, state in zip(found.items(), answers, answers, answers, strict=True):
            refusal = next((each for each in (owned, live, state) if isinstance(each, RedisRefuses)), None)
            if refusal is not None:
                what = "a take in redis cannot be looked after"
                self._complain(key, what, room=key.room, take=key.take, reason=refusal.message)
            elif state[0] is None:
                gone.add(member)
            else:
                listed[key] = Listed(bool(owned), live == key.take.encode(), state[1] is not None)
        await self._unlist(gone)
        return listed

    async def _all_told(self, key: TakeKey, lines: Sequence[bytes]) -> tuple[TakeEvent, ...]:
        """What happened, from its first `lines` on: rooms that are live here do not wait for what is long."""
        told: list[TakeEvent] = []
        read = 0
        while lines:
            told += await asyncio.to_thread(self._told, key, lines)
            read += len(lines)
            if len(lines) < _EVENTS_AT_ONCE:
                break
            page: Any = self.link.client.lrange(keys.events(key), read, read + _EVENTS_AT_ONCE - 1)
            lines = await self.link.call(_KIND, page)
        return tuple(told)

    def _told(self, key: TakeKey, lines: Iterable[bytes]) -> tuple[TakeEvent, ...]:
        """What happened, but for what nobody can read."""
        told = []
        for line in lines:
            try:
                told.append(parse_event(line))
            except ValueError as error:
                what = "an event in redis cannot be read"
                reason = repr(error)[:200]
                self._complain((key, what), what, room=key.room, take=key.take, reason=reason)
        return tuple(told)

    def _complain(self, about: Hashable, what: str, **details: str) -> None:
        if self._complaints.admit(about):
            log.error(what, bus=self.link.name, **details)

    async def _unlist(self, members: Collection[bytes]) -> None:
        if members:
            await self.link.call(_KIND, self.link.client.srem(keys.TAKES, *members))

    def _terms(self, room: str, generation: int) -> tuple[str | int | bytes, ...]:
        return self._node, self._url, generation, self._ttl_ms, _EXPIRES_MS, _hashes(room)

    async def _eval(self, script: Script, room: str, *words: str | int | bytes) -> Any:  # noqa: ANN401 - a script may give anything
        (answer,) = await self._each(script, {room: words})
        if isinstance(answer, RedisRefuses):
            raise answer
        return answer

    async def _each(self, script: Script, rooms: Mapping[str, tuple[str | int | bytes, ...]]) -> list[Any]:
        """Run `script` for each of `rooms`, in one round trip, also where nobody ever ran it.

        Where that is refused for one of them, its answer is a RedisRefuses.
        """
        if not rooms:
            return []
        pipe = self.link.client.pipeline(transaction=False)
        pipe.script_load(script.text)
        for room, words in rooms.items():
            names = keys.owner(room), keys.live(room), keys.generation(room)
            pipe.evalsha(script.sha, len(names), *names, *words)
        _, *answers = await self.link.replies(_KIND, pipe)
        return answers


def _hashes(room: str) -> bytes:
    """What the keys of hashes of the room's takes begin with."""
    return keys.take(TakeKey(room, ""))


def _key(member: bytes) -> TakeKey | None:
    try:
        return keys.parse_member(member)
    except (LongwaveError, ValueError):
        return None
