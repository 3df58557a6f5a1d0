"""The SDP answer: one voice is received, all else is turned down in its place (RFC 9725 4.2 and 4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workers.whip.candidates import Credentials
from workers.whip.offer import MediaLine, Offer

# Well over a browser's default of 32 kbit/s, since AAC comes after it; low enough for Opus to stay in the
# modes that carry error correction (voice under 64 kbit/s a channel).
_BIT_RATE: Final = 48_000


@dataclass(frozen=True, slots=True)
class Local:
    """The server's side of a session. `candidates` are values of `a=candidate:`."""

    session: int
    credentials: Credentials
    fingerprint: str
    candidates: tuple[str, ...]


def write_answer(offer: Offer, local: Local, channels: int) -> str:
    """`fingerprint` is (algorithm and value) as in SDP; `channels` is what the take can make use of."""
    lines = ["v=0", f"o=- {local.session} 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if offer.bundled:
        mids = [offer.media[index].mid for index in dict.fromkeys((offer.carrier, offer.audio))]
        lines.append(f"a=group:BUNDLE {' '.join(map(str, mids))}")
    for index, line in enumerate(offer.media):
        if index == offer.audio:
            lines += _accepted(offer, local, channels)
        else:
            lines += _idle(offer, local) if index == offer.carrier else _rejected(line)
    return "\r\n".join(lines) + "\r\n"


def _accepted(offer: Offer, local: Local, channels: int) -> list[str]:
    line, opus = offer.media[offer.audio], offer.payload_type
    return [
        # Port 9 and no address: the candidates say it (RFC 9429 5.3.1).
        f"m=audio 9 {line.protocol} {opus}",
        "c=IN IP4 0.0.0.0",
        *_mid(line),
        "a=recvonly",
        "a=rtcp-mux",
        *(["a=rtcp-rsize"] if offer.reduced_rtcp else []),
        f"a=rtpmap:{opus} opus/48000/2",
        f"a=fmtp:{opus} {_opus(offer, channels)}",
        *_transport(offer, local),
    ]


def _idle(offer: Offer, local: Local) -> list[str]:
    """The first m-line of a bundle carries the voice, so that it cannot be rejected (RFC 9143 7.3.3)."""
    line = offer.media[offer.carrier]
    form = line.formats[0]
    return [
        f"m={line.kind} 9 {line.protocol} {form}",
        "c=IN IP4 0.0.0.0",
        *_mid(line),
        "a=inactive",
        "a=rtcp-mux",
        *([] if line.codec is None else [f"a=rtpmap:{form} {line.codec}"]),
        *_transport(offer, local),
    ]


def _transport(offer: Offer, local: Local) -> list[str]:
    return [
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.password}",
        "a=ice-options:trickle",
        *(f"a=candidate:{candidate}" for candidate in local.candidates),
        "a=end-of-candidates",
        f"a=fingerprint:{local.fingerprint}",
        f"a=setup:{'active' if offer.waits else 'passive'}",
    ]


def _opus(offer: Offer, channels: int) -> str:
    """RFC 7587 6.1: what the receiver would like to get."""
    stereo = int(channels == 2)
    wishes = f"minptime=10;useinbandfec=1;stereo={stereo};sprop-stereo={stereo}"
    return f"{wishes};maxaveragebitrate={_BIT_RATE * channels}" + (";usedtx=1" if offer.dtx else "")


def _rejected(line: MediaLine) -> list[str]:
    """Port 0 (RFC 3264 6): an encoder that offers video too goes on with its sound."""
    head = f"m={line.kind} 0 {line.protocol} {' '.join(line.formats)}"
    return [head, "c=IN IP4 0.0.0.0", *_mid(line), "a=inactive"]


def _mid(line: MediaLine) -> list[str]:
    return [] if line.mid is None else [f"a=mid:{line.mid}"]
