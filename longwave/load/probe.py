"""The target, read once: what is played there, and so what a crowd will ask for."""

from __future__ import annotations

import re
from typing import Final

import aiohttp
from yarl import URL

from contracts.errors import DependencyError, UsageError
from longwave.load.base import Base, base_of
from longwave.load.crowd import Target
from longwave.load.plan import Found, LoadOptions, check_consent
from longwave.load.playlists import MediaPlaylist, Place, Playlist, Variants, parse
from longwave.load.tiers import Standing
from longwave.load.tls import client_context

_SECONDS: Final = 15.0
_MOST_BYTES: Final = 32 * 2**20
_PAGE: Final = re.compile(r"(?P<prefix>/p/[^/]+)?/listen/(?P<room>[A-Za-z0-9_-]{1,64})/?")
_LIVE: Final = re.compile(r"(?P<prefix>/p/[^/]+)?/live/(?P<room>[A-Za-z0-9_-]{1,64})/.+")


def target_of(options: LoadOptions) -> tuple[Target, bytes]:
    """What an address means, and the token's prefix if its path has one. Raises UsageError."""
    try:
        url = URL(options.url)
        base = base_of(url)
    except ValueError as error:
        raise UsageError(f"this is no address: {error}") from None
    path = url.raw_path_qs
    page = _PAGE.fullmatch(url.raw_path)
    found = page or _LIVE.fullmatch(url.raw_path)
    if options.tiers and found is None:
        raise UsageError("--tiers: only for the rooms of a Longwave (…/listen/ROOM)")
    listen = f"/listen/{found['room']}.json" if options.tiers and found is not None else ""
    if page is not None:
        path = f"/live/{page['room']}/index.m3u8"
    prefix = found["prefix"] or "" if found is not None else ""
    target = Target(
        base,
        path.removeprefix(prefix).encode(),
        low_latency=options.low_latency,
        listen=listen.encode(),
        same_clock=base.is_loopback,
        anywhere=options.mine,
    )
    check_consent(options, target)
    return target, prefix.encode()


class Probe:
    """Reads from the target as one listener would."""

    def __init__(self, session: aiohttp.ClientSession, options: LoadOptions) -> None:
        self._session = session
        self._options = options
        self._tls = client_context(options.ca)

    async def find(self, target: Target, prefix: bytes) -> Found:
        """What all will listen to. Raises DependencyError where there is nothing to listen to, UsageError."""
        base, path = target.base, prefix + target.path
        if target.listen:
            body, _ = await self._get(base, prefix + target.listen)
            standing = Standing.read(base, body)
            if standing is None:
                raise DependencyError(f"{base} does not say where to listen, as a Longwave does")
            where, start = standing.bases[0]
            base, path = where, start + (prefix if standing.private else b"") + standing.playlist
        base, path, playlist, size = await self._playlist(base, path)
        is_media = isinstance(playlist, MediaPlaylist)
        if isinstance(playlist, Variants):
            base, path, playlist, size = await self._playlist(*_at(playlist.place, base))
        if not isinstance(playlist, MediaPlaylist) or not playlist.segments:
            raise DependencyError(f"{base} plays nothing yet: wait until the room has been live for a moment")
        segment = playlist.segments[-1]
        _, media_bytes = await self._get(*_at(segment.place, base))
        low_latency = target.low_latency and playlist.blocks and playlist.part_target is not None
        if target.low_latency and not low_latency:
            raise UsageError("--low-latency: this playlist has no parts, or cannot be waited for")
        return Found(
            Target(
                target.base,
                target.path,
                is_media,
                low_latency,
                target.listen,
                target.same_clock,
                target.anywhere,
            ),
            target_duration=playlist.target,
            segment_seconds=segment.seconds,
            segment_bytes=media_bytes,
            playlist_bytes=size,
            part_seconds=playlist.part_target,
            hold_back=(playlist.part_hold_back if low_latency else None) or playlist.hold_back,
            prefix=prefix,
        )

    async def _playlist(self, base: Base, path: bytes) -> tuple[Base, bytes, Playlist, int]:
        body, size = await self._get(base, path)
        playlist = parse(base, path, body.decode(errors="replace"))
        if playlist is None:
            raise DependencyError(f"{base} answers with something that is not a playlist")
        return base, path, playlist, size

    async def _get(self, base: Base, path: bytes) -> tuple[bytes, int]:
        """A body, and how many bytes it was on its way."""
        if not self._options.mine and not base.is_loopback:
            raise UsageError(f"{base} is not on this machine: say --i-run-this-server if it is yours to load")
        url = URL(str(base)).join(URL(path.decode(), encoded=True))
        try:
            async with self._session.get(url, ssl=self._tls, allow_redirects=False) as answer:
                body = await _read(base, answer)
                if answer.status != 200:
                    # No path: it may hold a token.
                    raise DependencyError(
                        f"{base} answers {answer.status}: is the room live, and open to you?"
                    )
                return body, int(answer.headers.get("Content-Length") or len(body))
        except aiohttp.ClientResponseError:
            # Its own words hold the path, and what was answered.
            raise DependencyError(f"{base} gives no answer that is HTTP") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DependencyError(f"{base} gives no answer: {str(error) or 'timeout'}") from None


async def _read(base: Base, answer: aiohttp.ClientResponse) -> bytes:
    """The body. Raises DependencyError where it is larger than a playlist or a segment ever is."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise DependencyError(f"{base} answers with more than {_MOST_BYTES // 2**20} MB")
    return bytes(body)


async def find(options: LoadOptions, target: Target, prefix: bytes) -> Found:
    """What is found at the target. Raises DependencyError, UsageError."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return await Probe(session, options).find(target, prefix)


def _at(place: Place, base: Base) -> tuple[Base, bytes]:
    return place.base or base, place.path
