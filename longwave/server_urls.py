"""The addresses of servers, as a command line has them."""

from __future__ import annotations

from yarl import URL

from contracts.errors import UsageError
from longwave.publish_view import printable


def server_urls(text: str) -> list[URL]:
    """Addresses such as http://127.0.0.1:8080, one or several with commas between. Raises UsageError."""
    return [_server_url(each.strip()) for each in text.split(",")]


def _server_url(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as error:
        raise UsageError(f"--url: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise UsageError(f"--url: {printable(text)} is not like http://127.0.0.1:8080")
    return url
