"""Texts for a feed: what XML can hold, what directories take, and an episode's description as HTML. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape
from typing import Final

from pipeline.grid import SAMPLE_RATE
from storage.meta import Chapter

MAX_VALUE: Final = 255
"""Characters that Apple takes of a value without a limit of its own."""
MAX_DESCRIPTION: Final = 4000
"""Bytes of UTF-8 that Apple takes of a description."""
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# XML 1.0, production 2. Halves of surrogate pairs are no characters at all.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Allowed by XML, and discouraged: what controls a terminal.
_CONTROLS: Final = re.compile("[\x7f-\x84\x86-\x9f]")
_SPACES: Final = re.compile(r"\s+")
_ELLIPSIS: Final = "…"


def xml_text(text: str) -> str:
    """`text` as XML can hold it. What it cannot is dropped; half a surrogate pair shows as U+FFFD."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _CONTROLS.sub("", _NOT_XML.sub("", whole))


def one_line(text: str, limit: int = MAX_VALUE) -> str:
    """`text` on one line, without spaces around it, cut to `limit` characters where it is longer."""
    # Before the controls go: a line end is a space, not nothing.
    line = _SPACES.sub(" ", xml_text(_SPACES.sub(" ", text))).strip()
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    # Between words if the last word is no novel; a mark that stands alone belonged to the letter before it.
    space = cut.rfind(" ", limit * 3 // 4)
    return (cut if space < 0 else cut[:space]).rstrip() + _ELLIPSIS


def paragraphs(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """A host's text with its line ends, as XML can hold it, in at most `limit` bytes."""
    whole = xml_text(text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    return whole.encode()[:limit].decode(errors="ignore").rstrip()


def rfc_2822(microseconds: int) -> str:
    """An instant since 1970 as RSS spells it, whatever the locale: `Thu, 01 Jan 2026 00:00:00 GMT`."""
    instant = _UNIX_EPOCH + timedelta(microseconds=microseconds)
    return format_datetime(instant.replace(microsecond=0), usegmt=True)


def iso_8601(microseconds: int) -> str:
    """An instant since 1970 to the second: `2026-01-01T00:00:00+00:00`."""
    return (_UNIX_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="seconds")


def clock(sample: int) -> str:
    """A place in an episode, as apps recognise it and make it a link: `4:05`, `1:04:05`."""
    minutes, seconds = divmod(sample // SAMPLE_RATE, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def episode_html(
    title: str, speakers: Sequence[str], chapters: Sequence[Chapter], limit: int | None = None
) -> str:
    """Who speaks and what about, as HTML with what Apple allows in it (`p`, `ul`, `li`).

    `title` is the whole one, on one line, where the episode's had to be cut, else empty. With `limit` the end
    is left out, by whole names and chapters, so that it takes at most so many bytes.
    """
    room = _Room(limit)
    html = ""
    if title:
        html += room.take(f"<p>{escape(title, quote=False)}</p>")
    named = filter(None, map(_html, speakers))
    names = room.fitting(named, "<p>With </p>", ", ")
    if names:
        html += f"<p>With {', '.join(names)}</p>"
    lines = (f"<li>{clock(each.sample)} {_html(each.title)}</li>" for each in chapters)
    listed = room.fitting(lines, "<ul></ul>")
    if listed:
        html += f"<ul>{''.join(listed)}</ul>"
    return html


def _html(text: str) -> str:
    return escape(one_line(text), quote=False)


class _Room:
    """The bytes that are left of a limit, None for as many as one likes."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit

    def take(self, text: str) -> str:
        """`text` where there is room for it, else nothing."""
        size = len(text.encode())
        if self._left is None:
            return text
        if size > self._left:
            return ""
        self._left -= size
        return text

    def fitting(self, pieces: Iterable[str], around: str, between: str = "") -> list[str]:
        """The first of `pieces` that fit, with what stands around and between them."""
        fitting: list[str] = []
        for piece in pieces:
            extra = between if fitting else around
            if not self.take(piece + extra):
                break
            fitting.append(piece)
        return fitting
