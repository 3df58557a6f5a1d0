"""One rendition of a take as listeners see it: when a request can be answered, and with which representation.

Answers are made when somebody first asks for them and then shared; what has changed is forgotten, not
re-made, so a room without listeners costs no rendering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from contracts.errors import BadDirective, NotFound, NotReady
from contracts.position import Position
from contracts.take import TakeKey
from origin.audience import Audience
from origin.cache_policy import Kind
from origin.directives import Directives
from origin.representation import Slot, Text, encode, media, playlist
from origin.waiters import Waiters
from pipeline.playlist import Skip
from pipeline.take_window import TakeWindow
from pipeline.window import Invalid, Ready, Wait

BLOCK_SECONDS: Final = 6.0
"""Three target durations: the longest that a request is held (rfc8216bis 6.2.5.2 asks for a 503 then)."""
FILL_SECONDS: Final = 5.0
"""The longest that a rendition which is being filled answers 503."""
_FILLING: Final = "this origin is being filled: try again in a moment"


class Form(NamedTuple):
    """Which of a rendition's playlists: they differ in text (`skip`), coding and lifetime."""

    blocking: bool
    skip: Skip
    gzipped: bool


class Line:
    """One rendition. `clock` is monotonic; `block_seconds` is the longest that a request is held."""

    def __init__(
        self,
        key: TakeKey,
        name: str,
        take: TakeWindow,
        waiters: Waiters,
        clock: Callable[[], float],
        block_seconds: float = BLOCK_SECONDS,
    ) -> None:
        self.name = name
        self.window = take.renditions[name]
        self.waiters = waiters
        self._id = key.take
        self._take = take
        self._clock = clock
        self._block_seconds = block_seconds
        self._version = self.window.version
        self._texts: dict[tuple[Skip, bool], Text] = {}
        self._playlists: dict[Form, Slot] = {}
        self._init: Slot | None = None
        self._segments: dict[int, Slot] = {}
        self._parts: dict[Position, Slot] = {}
        self._first = self.window.first
        self._gone = False
        self._opened = False
        self._filling_since: float | None = None
        self._audience = Audience()

    # ---- what publishers do -----------------------------------------------------------------------------

    def fills(self) -> None:
        """A whole segment was put. Before the first part: this origin started empty and is being filled."""
        if not self._opened and self._filling_since is None:
            self._filling_since = self._clock()

    def opens(self) -> None:
        """A part was put, or the take has ended, or was reloaded: what is listed goes up to the live edge."""
        self._opened = True

    @property
    def filling(self) -> bool:
        """Whether whole segments are still being put, so that a playlist now would lack what comes next."""
        if self._opened or self._filling_since is None:
            return False
        return self._clock() - self._filling_since < FILL_SECONDS

    def moved(self) -> None:
        """Something was put: forget what is no longer true, release those who waited for it."""
        if self.window.version != self._version:
            self._version = self.window.version
            self._texts.clear()
            for slot in self._playlists.values():
                slot.representation = None
            self._drop_old_media()
        self._audience.observe(self._clock(), self._plain_answers)
        if self.window.ended:
            self.waiters.release_all()
        else:
            self.waiters.release(self.window.next)

    def left(self) -> None:
        """The take has left: nothing of it is answered any more."""
        self._gone = True
        slots = [*self._playlists.values(), *self._segments.values(), *self._parts.values()]
        for slot in slots if self._init is None else [*slots, self._init]:
            slot.representation = None
        self.waiters.release_all()

    # ---- what listeners ask -----------------------------------------------------------------------------

    async def reach(self, asked: Directives, *, listens: bool = True) -> None:
        """Return when the current playlist answers `asked`; one who `listens` is counted while waiting.

        Raises BadDirective, NotReady or NotFound.
        """
        deadline: float | None = None
        while not self._gone:
            if self.filling:
                raise NotReady(_FILLING)
            if deadline is not None and self.window.answerable:
                return  # who has waited does not ask again: see `Wait`
            match self.window.locate(asked.msn, asked.part):
                case Ready():
                    return
                case Invalid(reason):
                    raise BadDirective(reason)
                case Wait(target):
                    if deadline is None:
                        deadline = self._deadline()
                    await self._wait_for(target, deadline, int(listens))
        raise NotFound("this take is not here any more")

    def listeners(self) -> int:
        """How many listen, as far as can be told: see `audience`."""
        return self._audience.size(self._clock(), self._plain_answers)

    def playlist(self, form: Form) -> Slot:
        """The current playlist."""
        slot = self._playlists.get(form)
        if slot is None:
            slot = self._playlists[form] = Slot()
        if slot.representation is None:
            slot.representation = playlist(self._kind(form), self._text(form.skip, form.gzipped), self._id)
        return slot

    def init(self) -> Slot:
        """The CMAF header. Raises NotFound."""
        if self._init is None:
            data = self._take.init_bytes(self.name)
            if data is None:
                raise NotFound("no init.mp4 has been published yet")
            self._init = Slot(media(Kind.INIT, (data,), self._id))
        return self._init

    async def segment(self, msn: int) -> Slot:
        """A whole segment; one that is about to be whole is waited for. Raises NotFound or NotReady."""
        slot = self._segments.get(msn)
        if slot is None:
            await self._wait_for_media(self.window.coming(msn, None))
            parts = self.window.segment_parts(msn)
            if parts is None:
                raise self._missing(f"segment {msn} is not here (any more)")
            # Somebody who was released with us may have made it.
            slot = self._segments.get(msn) or Slot(media(Kind.SEGMENT, parts, self._id))
            self._segments[msn] = slot
        return slot

    async def part(self, position: Position) -> Slot:
        """A part; one that is about to come is waited for, hinted or not. Raises NotFound or NotReady."""
        slot = self._parts.get(position)
        if slot is None:
            await self._wait_for_media(self.window.coming(*position))
            data = self.window.part_bytes(*position)
            if data is None:
                raise self._missing(f"part {position.part} of segment {position.msn} is not here")
            slot = self._parts.get(position) or Slot(media(Kind.PART, (data,), self._id))
            self._parts[position] = slot
        return slot

    # ---- inside -----------------------------------------------------------------------------------------

    async def _wait_for(self, target: Position, deadline: float, listeners: int) -> None:
        self._audience.waiting += listeners
        try:
            await self.waiters.wait(target, deadline)
        finally:
            self._audience.waiting -= listeners

    async def _wait_for_media(self, target: Position | None) -> None:
        """Whoever waits for media is counted by the playlists that they wait for."""
        if target is not None:
            await self.waiters.wait(target, self._deadline())
            if self._gone:
                raise NotFound("this take is not here any more")

    def _missing(self, reason: str) -> NotFound | NotReady:
        """While this is being filled even what lies far ahead comes within moments."""
        return NotReady(_FILLING) if self.filling else NotFound(reason)

    @property
    def _plain_answers(self) -> int:
        return sum(slot.answers for form, slot in self._playlists.items() if not form.blocking)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._block_seconds

    def _kind(self, form: Form) -> Kind:
        if self.window.ended:
            return Kind.ENDED_PLAYLIST
        return Kind.BLOCKING_PLAYLIST if form.blocking else Kind.PLAYLIST

    def _text(self, skip: Skip, gzipped: bool) -> Text:  # noqa: FBT001 - a key's second half
        text = self._texts.get((skip, gzipped))
        if text is None:
            rendered = self._take.media_playlist(self.name, skip=skip)
            text = self._texts[skip, gzipped] = encode(rendered, gzipped=gzipped)
        return text

    def _drop_old_media(self) -> None:
        """Forget the answers whose media the window has let go, so that they end as it does."""
        if self.window.first != self._first:
            self._first = self.window.first
            for msn in [msn for msn in self._segments if self.window.segment_parts(msn) is None]:
                self._segments.pop(msn).representation = None
        for position in [position for position in self._parts if self.window.part_bytes(*position) is None]:
            self._parts.pop(position).representation = None
