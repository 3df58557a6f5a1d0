"""Replays over HTTP, for hosts: what a room has, published or not, and what is to be changed of it.

Listeners get replays from the origin; here are the host's word on them and their end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from aiohttp import web

from contracts.errors import NotFound, StillLive
from contracts.http import expect_later, json_line, read_json
from contracts.ids import check_room, check_take
from contracts.take import TakeKey
from storage.entry import ReplayEntry
from storage.meta import TakeMeta
from storage.objects import Objects
from storage.pooled import Pooled
from workers.archive.kept import KeptTake, Listed, kept_take, listed, take_keys
from workers.http_pcm import refuse_other_sites
from workers.replay_answers import replay_of, row_of
from workers.replay_edits import parse_edit

_MAX_BODY: Final = 1024 * 1024
_PAGE: Final = 100
"""Replays of one answer: each is read from the storage."""
_AT_ONCE: Final = 4
"""Of them that one answer reads at once: several hosts may ask."""
_REPLAY: Final = "/rooms/{room}/replays/{take}"
_NOT_KEPT: Final = {"Cache-Control": "no-store"}
_LIVE_RETRY_SECONDS: Final = 10
_FINISHING_RETRY_SECONDS: Final = 2


class ReplayEditor(Protocol):
    """Who changes and deletes what is kept of a take (`workers/archive/finish.py`). Blocking."""

    def edit(self, key: TakeKey, change: Callable[[TakeMeta], TakeMeta]) -> ReplayEntry:
        """Change `meta.json` and all that was made from it.

        Raises NotFound, StillLive, EditConflict, ObjectDamaged, StorageUnavailable.
        """

    def delete(self, key: TakeKey) -> None:
        """Remove everything of a take but its tombstone. Raises NotFound, StorageUnavailable."""


class ReplayHandlers:
    """What hosts do with replays.

    `is_live` says whether a take is live, on any ingest (BusUnavailable where nobody can say); `forget` lets
    go of what origins' windows still have of one that is to be deleted; `changed` is told of each whose
    replay is another now, or none.
    """

    def __init__(
        self,
        objects: Objects,
        pooled: Pooled,
        editor: ReplayEditor,
        *,
        is_live: Callable[[TakeKey], bool] = lambda _: False,
        forget: Callable[[TakeKey], None] = lambda _: None,
        changed: Callable[[TakeKey], None] = lambda _: None,
    ) -> None:
        self._objects = objects
        self._pooled = pooled
        self._editor = editor
        self._is_live = is_live
        self._forget = forget
        self._changed = changed

    def add_routes(self, app: web.Application) -> None:
        """All under `/rooms/{room}/replays`."""
        app.router.add_route("GET", "/rooms/{room}/replays", self.list)
        app.router.add_route("GET", _REPLAY, self.get)
        app.router.add_route("PATCH", _REPLAY, self.patch, expect_handler=expect_later)
        app.router.add_route("DELETE", _REPLAY, self.delete)

    async def list(self, request: web.Request) -> web.Response:
        """A room's takes that are over, newest first, 100 at a time; `next` goes on with `?before=`."""
        room, before = _room(request), request.query.get("before")
        if before is not None:
            check_take(before)
        keys = await self._pooled.call(take_keys, self._objects, room)
        wanted = [key for key in keys if (before is None or key.take < before) and not self._is_live(key)]
        page = wanted[:_PAGE]
        turns = asyncio.Semaphore(_AT_ONCE)

        async def read(key: TakeKey) -> Listed | None:
            async with turns:
                return await self._pooled.call(listed, self._objects, key)

        found = await asyncio.gather(*map(read, page))
        rows = [row_of(each) for each in found if each is not None]
        more = page[-1].take if len(wanted) > len(page) else None
        return json_line({"room": room, "replays": rows, "next": more}, headers=_NOT_KEPT)

    async def get(self, request: web.Request) -> web.Response:
        """One take: what listeners see of it, and what of that is the host's own word."""
        key = _key(request)
        self._refuse_live(key)
        return json_line(replay_of(await self._kept(key)), headers=_NOT_KEPT)

    async def patch(self, request: web.Request) -> web.Response:
        """Change title, chapters, or whether it is published: a merge patch of these three (RFC 7396)."""
        key = _key(request)
        body = await read_json(request, _MAX_BODY)
        self._refuse_live(key)
        kept = await self._kept(key)
        if kept.commit is None:
            raise StillLive("this take is being finished: try again in a moment", _FINISHING_RETRY_SECONDS)
        change = parse_edit(body, kept.commit.story.samples)
        if change is not None:
            await self._work(key, partial(self._editor.edit, key, change))
            kept = await self._kept(key)
        return json_line(replay_of(kept), headers=_NOT_KEPT)

    async def delete(self, request: web.Request) -> web.Response:
        """Remove everything of the take, here and in the storage; nothing brings it back."""
        key = _key(request)
        self._refuse_live(key)
        # First: a host who leaves meanwhile ends this handler, but not what is under way in a thread.
        self._forget(key)
        await self._work(key, partial(self._editor.delete, key))
        return web.Response(status=204)

    async def _work(self, key: TakeKey, work: Callable[[], object]) -> None:
        try:
            await self._pooled.call(work)
        finally:
            # Also after an error: it leaves open what was done before.
            self._changed(key)

    def _refuse_live(self, key: TakeKey) -> None:
        if self._is_live(key):
            raise StillLive(
                "this take is live: end it first, with POST /rooms/{room}/end", _LIVE_RETRY_SECONDS
            )

    async def _kept(self, key: TakeKey) -> KeptTake:
        kept = await self._pooled.call(kept_take, self._objects, key)
        if kept is None:
            raise NotFound("no such replay: it never was, or it was deleted")
        return kept


# ---- who is meant ------------------------------------------------------------------------------------------


def _room(request: web.Request) -> str:
    refuse_other_sites(request)
    return check_room(request.match_info["room"])


def _key(request: web.Request) -> TakeKey:
    return TakeKey(_room(request), check_take(request.match_info["take"]))
