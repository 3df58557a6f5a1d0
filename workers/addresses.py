"""URLs at which processes say that they are reached. What others say is checked before anybody connects."""

from __future__ import annotations

from urllib.parse import urlsplit

from yarl import URL

_LONGEST = 1024


def check_url(text: str) -> str:
    """Return `text` if it is `http(s)://HOST[:PORT][/PATH]` and can be asked. Raises ValueError."""
    if len(text) > _LONGEST or not text.isprintable() or " " in text:
        raise ValueError("a URL is printable, without spaces")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("a URL is http://HOST:PORT or https://HOST:PORT")
    # The client has rules of its own, such as for names that are not ASCII. UnicodeError is a ValueError.
    URL(text).origin()
    return text
