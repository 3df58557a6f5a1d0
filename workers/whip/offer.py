"""An SDP offer (RFC 8866, RFC 9429), read as far as one voice needs it and checked before anything is made.

What a peer wrote and the answer repeats (mids, formats) is checked to be tokens: none of it adds a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts.errors import BadRequest, UnprocessableOffer
from workers.whip.candidates import Candidate, Credentials, read_candidates, sdp_lines

# Encoders offer audio and video; more than this is nobody who wants to speak.
MAX_MEDIA: Final = 8
_MAX_FORMATS: Final = 64
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~/-]{1,64}")
_PORT: Final = re.compile(r"[0-9]{1,5}(/[0-9]{1,3})?")
_RTPMAP: Final = re.compile(r"a=rtpmap:([0-9]{1,3}) opus/48000/2", re.IGNORECASE)
_FINGERPRINT: Final = re.compile(
    r"a=fingerprint:(sha-256|sha-384|sha-512) ([0-9A-F]{2}(?::[0-9A-F]{2})+)", re.IGNORECASE
)
# SRTP keyed by DTLS, with or without feedback (RFC 5764 8); the first word is UDP in every real offer.
_PROTOCOLS: Final = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF"})
_DIRECTIONS: Final = ("sendonly", "sendrecv", "recvonly", "inactive")


@dataclass(frozen=True, slots=True)
class MediaLine:
    """One `m=` line, to be answered in its place. `codec` is what its first format is, as in `a=rtpmap`."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str | None
    codec: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What a peer offers. `media[audio]` is the voice; `payload_type` is what its Opus packets carry.

    `carrier` is the m-line whose transport the voice goes over: its own, or the first of its bundle.
    `fingerprints` are (algorithm, value) of the certificate that it will show. `dtx`: it would like to send
    nothing while nobody speaks. `waits`: it leaves the first word of the DTLS handshake to the server.
    """

    media: tuple[MediaLine, ...]
    audio: int
    carrier: int
    payload_type: int
    bundled: bool
    credentials: Credentials
    fingerprints: tuple[tuple[str, str], ...]
    candidates: tuple[Candidate, ...]
    dtx: bool = False
    waits: bool = False
    reduced_rtcp: bool = False


def read_offer(text: str) -> Offer:
    """Raises BadRequest (no SDP) or UnprocessableOffer (SDP, but no voice that can be received)."""
    lines = sdp_lines(text)
    if not lines or lines[0] != "v=0":
        raise BadRequest("this is no SDP: it begins with v=0")
    session, sections = _sections(lines)
    media = tuple(_media_line(section) for section in sections)
    group = _bundle(session)
    # A bundle-only section has port 0 and is offered all the same (RFC 9143 6).
    audio = next((i for i, line in enumerate(media) if line.kind == "audio" and _offered(sections[i])), None)
    if audio is None:
        raise UnprocessableOffer("this offer has no audio: add a track of a microphone")
    voice, mid = sections[audio], media[audio].mid
    bundled = mid is not None and mid in group
    # The transport of a bundle stands in its first section, for the others too (RFC 9143 7.1.3).
    carrier = next((i for i, line in enumerate(media) if bundled and line.mid == group[0]), audio)
    _check_audio(media[audio], voice, session)
    payload_type = _opus(media[audio], voice)
    transport = [*voice, *sections[carrier], *session]
    return Offer(
        media=media,
        audio=audio,
        carrier=carrier,
        payload_type=payload_type,
        bundled=bundled,
        credentials=_credentials(transport),
        fingerprints=_fingerprints(transport),
        candidates=read_candidates(dict.fromkeys(lines)),
        dtx=_asks_for_dtx(voice, payload_type),
        waits=_waits_for_dtls(transport),
        reduced_rtcp="a=rtcp-rsize" in voice,
    )


def _sections(lines: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    session: list[str] = []
    sections: list[list[str]] = []
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        (sections[-1] if sections else session).append(line)
    if len(sections) > MAX_MEDIA:
        raise UnprocessableOffer(f"at most {MAX_MEDIA} m-lines: one of audio is enough")
    return session, sections


def _media_line(section: Sequence[str]) -> MediaLine:
    words = section[0][2:].split()
    if len(words) < 4 or not _PORT.fullmatch(words[1]) or len(words) > 3 + _MAX_FORMATS:
        raise BadRequest(f"this is no SDP: {section[0][:40]!r} is no m-line")
    mid = next((line[6:] for line in section if line.startswith("a=mid:")), None)
    for word in [*words, *([] if mid is None else [mid])]:
        if not _TOKEN.fullmatch(word):
            raise BadRequest(f"this is no SDP: {word[:40]!r} is no token")
    return MediaLine(words[0], words[2], tuple(words[3:]), mid, _codec(words[3], section))


def _codec(form: str, section: Sequence[str]) -> str | None:
    start = f"a=rtpmap:{form} "
    codec = next((line[len(start) :] for line in section if line.startswith(start)), "")
    return codec if _TOKEN.fullmatch(codec) else None


def _bundle(session: Sequence[str]) -> list[str]:
    """The mids of the first BUNDLE group (RFC 9725 4.4.1: there is one)."""
    return next((line.split()[1:] for line in session if line.startswith("a=group:BUNDLE ")), [])


def _offered(section: Sequence[str]) -> bool:
    return section[0].split()[1] != "0" or "a=bundle-only" in section


def _check_audio(line: MediaLine, section: Sequence[str], session: Sequence[str]) -> None:
    direction = next((x for x in _DIRECTIONS if f"a={x}" in section), None)
    direction = direction or next((x for x in _DIRECTIONS if f"a={x}" in session), "sendrecv")
    if direction in {"recvonly", "inactive"}:
        raise UnprocessableOffer(f"the audio is {direction}: who speaks offers it sendonly (RFC 9725 4.2)")
    if line.protocol not in _PROTOCOLS:
        raise UnprocessableOffer(f"{line.protocol} is not taken: WebRTC speaks UDP/TLS/RTP/SAVPF")
    if "a=rtcp-mux" not in section:
        raise UnprocessableOffer("RTP and RTCP come on one port here: offer a=rtcp-mux (RFC 9725 4.4.1)")


def _opus(line: MediaLine, section: Sequence[str]) -> int:
    for attribute in section:
        match = _RTPMAP.fullmatch(attribute)
        if match and match[1] in line.formats and int(match[1]) < 128:
            return int(match[1])
    raise UnprocessableOffer("this offer has no opus/48000/2, the only codec that is taken")


def _asks_for_dtx(section: Sequence[str], payload_type: int) -> bool:
    start = f"a=fmtp:{payload_type} "
    wishes = (word for line in section if line.startswith(start) for word in line[len(start) :].split(";"))
    return "usedtx=1" in (word.strip() for word in wishes)


def _waits_for_dtls(transport: Sequence[str]) -> bool:
    """RFC 9725 4.4.4 wants actpass or active; FFmpeg says passive unless told otherwise, and holds to it."""
    setup = next((line[8:] for line in transport if line.startswith("a=setup:")), "actpass")
    if setup not in {"actpass", "active", "passive"}:
        raise UnprocessableOffer(f"a=setup:{setup[:40]} is not taken: offer actpass, active or passive")
    return setup == "passive"


def _credentials(transport: Sequence[str]) -> Credentials:
    ufrag = next((line[12:] for line in transport if line.startswith("a=ice-ufrag:")), None)
    password = next((line[10:] for line in transport if line.startswith("a=ice-pwd:")), None)
    if ufrag is None or password is None:
        raise UnprocessableOffer("this offer has no ice-ufrag or no ice-pwd")
    return Credentials(ufrag, password)


def _fingerprints(transport: Sequence[str]) -> tuple[tuple[str, str], ...]:
    matches = [match for line in transport if (match := _FINGERPRINT.fullmatch(line))]
    if not matches:
        raise UnprocessableOffer("this offer has no certificate fingerprint of SHA-256 or longer")
    return tuple(dict.fromkeys((match[1].lower(), match[2].upper()) for match in matches))
