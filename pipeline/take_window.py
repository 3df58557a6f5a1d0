"""A take's window: all its renditions, its events and its end. What an origin holds of one take."""

from __future__ import annotations

from contracts.errors import BytesConflict, MalformedMedia, MediaMissing, TakeEnded, UnknownTake
from contracts.position import Position
from contracts.take import MAX_EPOCH_US, TakeEvent, TakeHeader
from contracts.take_state import RenditionState, TakeState
from pipeline.boxes import read_init
from pipeline.grid import Grid, first_sample, utc_us
from pipeline.playlist import MediaPlaylist, MediaText, Skip, Variant, render_multivariant
from pipeline.window import Put, RenditionWindow
from pipeline.window.events import EventTimeline


class TakeWindow:
    """Mirrors the *For workers* table of the design, without HTTP.

    Whatever is put twice changes nothing; other bytes raise BytesConflict, and the first writer wins. All
    puts raise the PublisherError family.
    """

    def __init__(self, header: TakeHeader, window_segments: int) -> None:
        self.header = header
        self.grid = Grid(header.settings.parts)
        self.renditions = {
            rendition.name: RenditionWindow(rendition, self.grid, window_segments)
            for rendition in header.settings.renditions
        }
        self.end_samples: int | None = None
        """The take's length once it has ended."""
        self._inits: dict[str, bytes] = {}
        self._texts = {name: MediaText() for name in self.renditions}
        self._events = EventTimeline(header.epoch_us)

    # ---- what is put ---------------------------------------------------------------------------------------

    def put_init(self, rendition: str, data: bytes) -> Put:
        """Take a rendition's CMAF header, which comes before its media."""
        window = self._window(rendition)
        known = self._inits.get(rendition)
        if known is not None:
            if known != data:
                raise BytesConflict(f"{rendition}/init.mp4 has other bytes: keep what is there")
            return Put.SAME
        if window.ended:
            raise TakeEnded("the take has ended: nothing more is taken")
        if read_init(data).channels != self.header.settings.channels:
            raise MalformedMedia(f"this take has {self.header.settings.channels} channel(s)")
        self._inits[rendition] = data
        return Put.NEW

    def put_part(self, rendition: str, msn: int, part: int, data: bytes) -> Put:
        """Take one part: the playlist has grown by it when this returns."""
        return self._moved(self._media(rendition, msn).put_part(Position(msn, part), data))

    def put_segment(self, rendition: str, msn: int, data: bytes) -> Put:
        """Take a whole past segment, or what is missing of it."""
        return self._moved(self._media(rendition, msn).put_segment(msn, data))

    def put_gap(self, rendition: str, msn: int) -> Put:
        """This segment will not come, or not to its end."""
        return self._moved(self._media(rendition, msn).put_gap(msn))

    def put_event(self, event: TakeEvent) -> Put:
        """Take a chapter or who speaks. IGNORED where it can no longer be listed in order."""
        if self.ended and not self._events.holds(event):
            raise TakeEnded("the take has ended: nothing more is taken")
        put = self._events.put(event)
        if put is Put.NEW:
            self._advance_events()
        return put

    def end(self, samples: int) -> Put:
        """The take is `samples` long. Raises MediaMissing while the part with the last of them is missing.

        Media after that part stays: what was listed cannot be taken back.
        """
        if samples < 0:
            raise MalformedMedia("samples: 0 or more")
        if self.end_samples is not None:
            if self.end_samples != samples:
                raise BytesConflict(f"the take has ended after {self.end_samples} samples")
            return Put.SAME
        wanted = self.grid.end_of(samples)
        for name, window in self.renditions.items():
            if window.next < wanted:
                raise MediaMissing(f"{name}: media before sample {samples} is missing", window.next)
        for window in self.renditions.values():
            window.end()
        self.end_samples = samples
        return self._moved(Put.NEW)

    # ---- what is asked -------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the take has ended."""
        return self.end_samples is not None

    @property
    def size(self) -> int:
        """Bytes of media held."""
        return sum(window.size for window in self.renditions.values())

    @property
    def events(self) -> tuple[TakeEvent, ...]:
        """The events that are listed, and those that will be, in the order of time."""
        return self._events.held

    def init_bytes(self, rendition: str) -> bytes | None:
        """A rendition's CMAF header."""
        return self._inits.get(rendition)

    def state(self) -> TakeState:
        """The answer of `GET /publish/{room}/{take}`."""
        states = {
            name: RenditionState(first=window.first, next=window.next, gaps=window.gaps)
            for name, window in self.renditions.items()
        }
        return TakeState(renditions=states, end=self.end_samples)

    def media_playlist(self, rendition: str, *, skip: Skip = Skip.NO) -> str:
        """The media playlist's text as it is now, or its delta update. For a rendition of this take only."""
        window = self.renditions[rendition]
        reports = (other.report() for name, other in self.renditions.items() if name != rendition)
        playlist = MediaPlaylist(
            epoch_us=self.header.epoch_us,
            grid=self.grid,
            segments=window.segments,
            next=window.next,
            events=self._events.listed,
            added=self._events.added,
            removed=self._events.removed,
            reports=[report for report in reports if report is not None],
            ended=window.ended,
        )
        return self._texts[rendition].render(playlist, skip=skip)

    def multivariant(self, directory: str) -> str:
        """The multivariant playlist's text; `directory` is the take's id, relative to it."""
        variants = [
            Variant(name, window.rendition.bit_rate, window.bandwidth.peak, window.bandwidth.average)
            for name, window in self.renditions.items()
        ]
        return render_multivariant(variants, directory)

    # ---- inside --------------------------------------------------------------------------------------------

    def _window(self, rendition: str) -> RenditionWindow:
        window = self.renditions.get(rendition)
        if window is None:
            raise UnknownTake(f"this take has the renditions {', '.join(self.renditions)}")
        return window

    def _media(self, rendition: str, msn: int) -> RenditionWindow:
        """The window for media of segment `msn`."""
        window = self._window(rendition)
        if rendition not in self._inits:
            raise UnknownTake(f"put {rendition}/init.mp4 first")
        if msn < 0 or utc_us(self.header.epoch_us, first_sample(msn + 2)) > MAX_EPOCH_US:
            raise MalformedMedia(f"segment {msn}: no date is so far from the take's epoch")
        return window

    def _moved(self, put: Put) -> Put:
        if put is Put.NEW:
            # A part changes its own playlist, and the rendition report in every other one.
            self._changed()
            self._advance_events()
        return put

    def _advance_events(self) -> None:
        started = [window for window in self.renditions.values() if window.first is not None]
        if not started:
            return
        first = min(window.first or 0 for window in started)
        if self._events.advance(first_sample(first), max(window.stop_sample for window in started)):
            self._changed()

    def _changed(self) -> None:
        for window in self.renditions.values():
            window.version += 1
