"""RTCP, as far as a receiver of one voice needs it: sender reports in, receiver reports out (RFC 3550 6).

What is truncated ends the reading; nothing in here raises on what a peer sends. Goodbyes are not read: they
are about a source, and the peer may go on with another one or come back to it. Who leaves ends DTLS.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SENDER_REPORT: Final = 200
_RECEIVER_REPORT: Final = 201
_SOURCE_DESCRIPTION: Final = 202
_HEADER: Final = struct.Struct("!BBH")
_SENDER: Final = struct.Struct("!IQ")
_REPORT: Final = struct.Struct("!IIIIII")
_CNAME: Final = 1


@dataclass(frozen=True, slots=True)
class SenderReport:
    """`ntp` is the middle 32 bits of the sender's time stamp, which a receiver report sends back."""

    ssrc: int
    ntp: int


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What is reported of one source (RFC 3550 6.4.1); `fraction` is the loss since the last report × 256."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


def read_sender_reports(data: bytes) -> Iterator[SenderReport]:
    """Those of a compound packet."""
    while len(data) >= _HEADER.size:
        flags, kind, words = _HEADER.unpack_from(data)
        body, data = data[_HEADER.size : 4 * words + 4], data[4 * words + 4 :]
        if flags >> 6 != 2 or len(body) != 4 * words:
            return
        if kind == _SENDER_REPORT and len(body) >= _SENDER.size:
            ssrc, ntp = _SENDER.unpack_from(body)
            yield SenderReport(ssrc, ntp >> 16 & 0xFFFFFFFF)


def write_report(ssrc: int, name: str, block: ReportBlock) -> bytes:
    """A compound packet from `ssrc`: a receiver report and the CNAME that has to be with it (6.1)."""
    lost = max(-(2**23), min(block.lost, 2**23 - 1)) & 0xFFFFFF
    report = struct.pack("!I", ssrc) + _REPORT.pack(
        block.ssrc,
        min(block.fraction, 255) << 24 | lost,
        block.highest & 0xFFFFFFFF,
        min(block.jitter, 0xFFFFFFFF),
        block.last_report,
        min(block.delay, 0xFFFFFFFF),
    )
    return _packet(_RECEIVER_REPORT, 1, report) + _packet(_SOURCE_DESCRIPTION, 1, _description(ssrc, name))


def _description(ssrc: int, name: str) -> bytes:
    text = name.encode()
    chunk = struct.pack("!IBB", ssrc, _CNAME, len(text)) + text
    # At least one zero ends the list of items (6.5).
    return chunk + bytes(4 - len(chunk) % 4)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(2 << 6 | count, kind, len(body) // 4) + body
