"""What `longwave publish` is to play, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.errors import BadRequest, UsageError
from contracts.ids import check_room, check_speaker
from longwave.server_urls import server_urls
from longwave.trust import trusting

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from yarl import URL

HERE: Final = "http://127.0.0.1:8080"
"""Where `longwave serve` listens if nothing else is said."""


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What to play and where: `url` is a server, or several with commas between, the first preferred.

    `ca` is a file of certificates (PEM) to check https servers against.
    """

    file: Path
    room: str
    url: str = HERE
    token: str | None = None
    speaker: str | None = None
    channels: int = 1
    loop: bool = False
    ca: Path | None = None

    def endpoints(self) -> list[URL]:
        """`PUT` goes to one of these. Raises UsageError."""
        try:
            check_room(self.room)
            if self.speaker is not None:
                check_speaker(self.speaker)
        except BadRequest as error:
            raise UsageError(str(error)) from None
        if self.channels not in {1, 2}:
            raise UsageError("--channels: 1 or 2")
        query = {"channels": str(self.channels)} | ({"speaker": self.speaker} if self.speaker else {})
        return [server / "pcm" / self.room % query for server in server_urls(self.url)]

    def tls(self) -> ssl.SSLContext | bool:
        """How an https server is checked. Raises UsageError."""
        return trusting(self.ca)
