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

from contracts.take import TakeEvent
from pipeline.playlist.text import date_time, quoted


def render_event(event: TakeEvent, epoch_us: int) -> str:
    """One line, with its line feed. The same in every rendition, as 6.2.4 demands.

    `ID` never repeats within a take (6.2.1), because an event is named by its sample and a counter.
    """
    if event.kind == "chapter":
        extension = f"X-TITLE={quoted(event.title)}"
    else:
        extension = f"X-SPEAKERS={_names(event.speakers)}"
    return (
        f'#EXT-X-DATERANGE:ID="{event.kind}-{event.sample}-{event.n}",CLASS="com.longwave.{event.kind}",'
        f'START-DATE="{date_time(epoch_us, event.sample)}",END-ON-NEXT=YES,{extension}\n'
    )


def _names(speakers: tuple[str, ...]) -> str:
    return f'"{",".join(quoted(name, also=",")[1:-1] for name in speakers)}"'
