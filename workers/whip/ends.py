"""How a WHIP session ends: one word for the metrics, one line for the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts.errors import LongwaveError, SenderTimeout
from pipeline.voice.opus import BadOpus

Outcome = Literal["left", "vanished", "handshake", "closed", "garbage", "failed"]
"""By the peer's own will; without a word; never connected; closed by us (a host, a successor under the same
name, the end of the take or of the server); sent what nobody can use; an error of ours."""


@dataclass(frozen=True, slots=True)
class End:
    """`reason` is for people."""

    outcome: Outcome
    reason: str


def left() -> End:
    """DELETE, or the end of DTLS."""
    return End("left", "it said goodbye")


def vanished(seconds: float) -> End:
    """Not a datagram for `seconds`."""
    return End("vanished", f"nothing arrived for {seconds:g} seconds")


def no_handshake(reason: str) -> End:
    """ICE or DTLS did not come about."""
    return End("handshake", reason)


def garbage(reason: str) -> End:
    """What it sends is no voice."""
    return End("garbage", reason)


def closed(error: LongwaveError) -> End:
    """The room broke it off, with `error`."""
    outcome: Outcome = "closed"
    if isinstance(error, BadOpus):
        outcome = "garbage"
    elif isinstance(error, SenderTimeout):
        outcome = "vanished"
    return End(outcome, error.message)


def failed() -> End:
    """See the log."""
    return End("failed", "an error of this server's own")
