"""Another origin with the same takes, asked for its windows.

What she says is checked like a worker's puts: her records go into a window of their own first, and whatever
that refuses is the end of it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import structlog
from yarl import URL

from contracts.errors import BadRequest, LongwaveError, NotFound, OriginUnavailable
from contracts.ids import check_room, check_take
from contracts.take import TakeKey
from contracts.take_state import TakeState
from origin.contents import header_of, put_record
from origin.journal_format import RecordKind, Unpacker
from pipeline.take_window import TakeWindow

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

_MAX_LIST: Final = 16 * 2**20
# No part is larger: see `origin/http_publish.py`.
_MAX_RECORD: Final = 2**20
# Bytes a second. Who is slower than this, a second after she began, will not be done in time.
_SLOWEST: Final = 64 * 2**10
_SLOWEST_AFTER: Final = 1.0
# Seconds; no window is as long. What is more is no number of seconds.
_OLDEST: Final = 1e9

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Offer:
    """A take that a sister has. `age` is how many seconds ago she got something new of it."""

    key: TakeKey
    state: TakeState
    age: float


@dataclass(frozen=True, slots=True)
class Received:
    """What came of a take, if anything did.

    Unless `complete`, the newest of it is missing, and the take's end. `trouble` says why a sister is not to
    be asked again.
    """

    window: TakeWindow | None
    complete: bool = False
    trouble: str | None = None


class Sister:
    """The origin at `url`. `token` gives what is sent as bearer; `tls` is a context that trusts her."""

    def __init__(
        self, url: str, *, token: Callable[[], str] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._base = URL(url)
        self._token = token
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        """Scheme, host and port: no user, no password, no path."""
        return str(self._base.origin())

    async def offers(self) -> list[Offer]:
        """The takes that she has, but for what makes no sense. Raises OriginUnavailable.

        The caller limits the time.
        """
        body = bytearray()
        async with self._asked(self._base / "publish") as content:
            async for chunk in content.iter_any():
                body += chunk
                if len(body) > _MAX_LIST:
                    raise OriginUnavailable(f"{self.name} lists more takes than there can be")
        try:
            entries = json.loads(body)["takes"]
            offers = [_offer(entry) for entry in entries]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise OriginUnavailable(f"{self.name} answers nonsense where it should list its takes") from None
        good = [offer for offer in offers if offer is not None]
        if len(good) < len(offers):
            log.warning(
                "takes of a sister make no sense: left out", sister=self.name, takes=len(offers) - len(good)
            )
        return good

    async def window(
        self, key: TakeKey, start: int, *, window_segments: int, patience: float, deadline: float
    ) -> Received:
        """Her window of a take from segment `start` on, as far as it comes.

        It may pause for `patience` seconds, and ends at `deadline` (the event loop's time).
        """
        receiving = _Receiving(window_segments)
        try:
            await self._receive(self._window_url(key, start), receiving, patience, deadline)
        except NotFound:  # it has left meanwhile
            return Received(None, complete=True)
        except TimeoutError:
            trouble = f"{self.name} sends nothing for {patience:g} s" if _now() < deadline else None
        except (LongwaveError, ValueError, KeyError, TypeError) as error:
            trouble = f"{self.name}: {error}"
        else:
            return Received(receiving.window, complete=True)
        return Received(receiving.window, trouble=trouble)

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ------------------------------------------------------------ inside

    def _window_url(self, key: TakeKey, start: int) -> URL:
        # Ids need no escaping: they are checked where they come from.
        return (self._base / f"publish/{key.room}/{key.take}/window").with_query({"from": str(start)})

    async def _receive(self, url: URL, receiving: _Receiving, patience: float, deadline: float) -> None:
        begun: float | None = None
        size = 0
        async with asyncio.timeout_at(min(deadline, _now() + patience)) as limit, self._asked(url) as content:
            async for chunk in content.iter_any():
                now = _now()
                limit.reschedule(min(deadline, now + patience))
                receiving.push(chunk)
                size += len(chunk)
                begun = begun or now
                if now - begun > _SLOWEST_AFTER and size < _SLOWEST * (now - begun):
                    raise OriginUnavailable(f"too slow, {size} bytes in {now - begun:.1f} s")

    @asynccontextmanager
    async def _asked(self, url: URL) -> AsyncIterator[aiohttp.StreamReader]:
        """The body of a 200 answer. Raises NotFound for a 404, else OriginUnavailable."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls or True)
            # Whoever asks says how long it may take.
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=None)
            )
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token()}"}
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status == 404:
                    raise NotFound("it is not there")
                if response.status != 200:
                    raise OriginUnavailable(f"{self.name} answers {response.status}")
                yield response.content
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise OriginUnavailable(f"{self.name} does not answer: {reason}") from None


class _Receiving:
    """A window that comes as records: its header first."""

    def __init__(self, window_segments: int) -> None:
        self.window: TakeWindow | None = None
        self._window_segments = window_segments
        self._unpacker = Unpacker(_MAX_RECORD)

    def push(self, chunk: bytes) -> None:
        """Put what has come. Raises what a put does, and ValueError, KeyError or TypeError on nonsense."""
        for record in self._unpacker.push(chunk):
            if self.window is not None:
                put_record(self.window, record)
            elif record.kind is RecordKind.HEADER:
                self.window = TakeWindow(header_of(record), self._window_segments)
            else:
                raise ValueError("a window begins with its header")


def _offer(entry: Any) -> Offer | None:  # noqa: ANN401 - parsed JSON
    """One take of a list; None where that is nonsense."""
    try:
        key = TakeKey(check_room(entry["room"]), check_take(entry["take"]))
        state, age = TakeState.from_json(entry), entry["age"]
    except (BadRequest, ValueError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(age, int | float) or not age <= _OLDEST:
        return None
    return Offer(key, state, max(0.0, float(age)))


def _now() -> float:
    return asyncio.get_running_loop().time()
