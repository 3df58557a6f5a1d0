"""Chapters and speakers as `EXT-X-DATERANGE` (rfc8216bis 4.4.5.1).

Both are classes of ranges that follow one another: each ends where the next of its class begins
(`END-ON-NEXT=YES`), so that a range is written once and never touched again.

    com.longwave.chapter    X-TITLE     the chapter's title
    com.longwave.speakers   X-SPEAKERS  the names of all who speak, separated by commas; empty when nobody
    does

Both values are percent-encoded where they have to be (see `text.quoted`), commas inside a name too: a client
takes `decodeURIComponent(title)`, and `speakers.split(",").map(decodeURIComponent)`.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.take import TakeEvent
from pipeline.playlist.text import date_time, quoted


class DateRangeText:
    """Renders the date ranges of one take's playlists, and keeps their lines, which never change.

    A room where people talk to each other has hundreds of ranges in its window and a new one every second.
    """

    def __init__(self) -> None:
        self._lines: dict[TakeEvent, str] = {}
        self._listed: Sequence[TakeEvent] = ()
        self._text = ""

    def listed(self, events: Sequence[TakeEvent], epoch_us: int) -> str:
        """All ranges of a playlist. The same object means the same ranges."""
        if events is not self._listed:
            known = self._lines
            # What has left the list goes from here too.
            self._lines = {event: known.get(event) or render_event(event, epoch_us) for event in events}
            self._listed, self._text = events, "".join(self._lines.values())
        return self._text

    def some(self, events: Sequence[TakeEvent], epoch_us: int) -> str:
        """A few ranges of those that are listed."""
        return "".join(self._lines.get(event) or render_event(event, epoch_us) for event in events)


def range_id(event: TakeEvent) -> str:
    """`ID` (4.4.5.1). It never repeats within a take (6.2.1): it has the event's sample and a counter."""
    return f"{event.kind}-{event.id}"


def render_event(event: TakeEvent, epoch_us: int) -> str:
    """One line, with its line feed. The same in every rendition, as 6.2.4 demands."""
    if event.kind == "chapter":
        extension = f"X-TITLE={quoted(event.title)}"
    else:
        extension = f"X-SPEAKERS={_names(event.speakers)}"
    return (
        f'#EXT-X-DATERANGE:ID="{range_id(event)}",CLASS="com.longwave.{event.kind}",'
        f'START-DATE="{date_time(epoch_us, event.sample)}",END-ON-NEXT=YES,{extension}\n'
    )


def _names(speakers: tuple[str, ...]) -> str:
    return f'"{",".join(quoted(name, also=",")[1:-1] for name in speakers)}"'
