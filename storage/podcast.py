"""What a room's podcast feed says beyond its title: the key `podcast` of a room record.

    {"description", "author", "language", "category", "image", "explicit", "email", "locked", "guid"}

Every member may be left out. What is kept here is fit for a directory: a category that Apple does not know,
or a language that is none, would make it refuse the feed, months after the host has forgotten the setting.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from contracts.errors import BadRequest
from storage.podcast_categories import CATEGORIES, is_category

MAX_DESCRIPTION: Final = 4000
"""Bytes of UTF-8 that Apple takes of a description."""
_MAX_VALUE: Final = 255  # characters that Apple takes of any other value
_MAX_URL: Final = 2048
# BCP 47 as far as directories go: ISO 639, then a script, a region or a variant.
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_EMAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_IMAGES: Final = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class Podcast:
    """A room as a podcast. Empty texts stand for what the feed says by itself.

    `category` is one of Apple's, or one with its subcategory: `Society & Culture > Documentary`. `image` is
    the absolute URL of a JPEG or PNG. With `locked` other hosting platforms are told not to take the feed
    over. `guid` is for a podcast that had a `podcast:guid` before it came here.
    """

    description: str = ""
    author: str = ""
    language: str = "en"
    category: str = "Society & Culture"
    image: str = ""
    explicit: bool = False
    email: str = ""
    locked: bool = True
    guid: str = ""

    def to_json(self) -> dict[str, object]:
        """The wire form, and the file's."""
        return asdict(self)

    @classmethod
    def from_json(cls, obj: object) -> Podcast:
        """From the wire form; what is left out has its default. Raises BadRequest that names the key."""
        known = {field.name: field.default for field in fields(cls)}
        if not isinstance(obj, Mapping):
            raise BadRequest(f"podcast: an object is wanted, with any of {', '.join(known)}")
        for key in obj:
            if key not in known:
                raise BadRequest(f"podcast.{key!s:.40}: not known here; there are {', '.join(known)}")
        values = {**known, **obj}
        for key, default in known.items():
            if type(values[key]) is not type(default):
                wanted = "true or false" if isinstance(default, bool) else "a text"
                raise BadRequest(f"podcast.{key}: {wanted}")
        podcast = cls(**values)
        _check(podcast)
        return podcast


def _check(podcast: Podcast) -> None:
    _check_text("description", podcast.description, MAX_DESCRIPTION, lines=True)
    _check_text("author", podcast.author, _MAX_VALUE)
    if not _LANGUAGE.fullmatch(podcast.language):
        raise BadRequest("podcast.language: a language such as en, de or pt-BR")
    if not is_category(podcast.category):
        raise BadRequest(
            f"podcast.category: one of Apple's, such as 'News' or 'Arts > Books': {', '.join(CATEGORIES)}"
        )
    if podcast.image and not _is_image(podcast.image):
        raise BadRequest("podcast.image: an http(s) address that ends with .jpg or .png")
    if podcast.email and not (len(podcast.email) <= _MAX_VALUE and _EMAIL.fullmatch(podcast.email)):
        raise BadRequest("podcast.email: an address such as host@example.net")
    if podcast.guid and not _is_uuid(podcast.guid):
        raise BadRequest("podcast.guid: a UUID, as the feed had it before")


def _check_text(key: str, text: str, limit: int, *, lines: bool = False) -> None:
    """Printable (and line ends, where there may be several), and no longer than directories take it."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # JSON can spell half a surrogate pair
        raise BadRequest(f"podcast.{key}: not valid Unicode") from None
    if (size if lines else len(text)) > limit:
        raise BadRequest(f"podcast.{key}: at most {limit} {'bytes' if lines else 'characters'}")
    allowed = "\n\t\r" if lines else ""
    if any(unicodedata.category(each) == "Cc" and each not in allowed for each in text):
        raise BadRequest(f"podcast.{key}: no control characters")


def _is_image(text: str) -> bool:
    """Whether Apple may find artwork there: it goes by the end of the path."""
    if len(text) > _MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.path.lower().endswith(_IMAGES)
    except ValueError:  # a host in brackets that is no address
        return False


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
