"""The multivariant playlist (rfc8216bis 4.4.6): one variant a rendition, no alternatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.playlist.model import Variant

CODECS: Final = "mp4a.40.2"
"""AAC-LC (RFC 6381)."""
_FIRST_BIT_RATE: Final = 64_000
# Clients begin with the first variant (Apple's authoring specification asks that it suit most listeners'
# links, and players without adaptation never leave it): 64 kbit/s is clean for speech and passes where a
# phone has one bar.


def render_multivariant(variants: Sequence[Variant], directory: str) -> str:
    """The playlist; `directory` is what the media playlists lie under, relative to it (the take's id).

    EXT-X-INDEPENDENT-SEGMENTS stands in the media playlists, and so must not be here too (4.4.2.1); nothing
    else here asks for an EXT-X-VERSION above 1 (8).
    """
    lines = "".join(
        f"#EXT-X-STREAM-INF:BANDWIDTH={variant.bandwidth},AVERAGE-BANDWIDTH={variant.average_bandwidth},"
        f'CODECS="{CODECS}"\n{directory}/{variant.rendition}/index.m3u8\n'
        for variant in in_order(variants)
    )
    return f"#EXTM3U\n{lines}"


def in_order(variants: Sequence[Variant]) -> list[Variant]:
    """The variant to begin with, then the others from the best down.

    It is the best one of at most 64 kbit/s, or the smallest where all are above.
    """
    best_first = sorted(variants, key=lambda variant: variant.bit_rate, reverse=True)
    modest = [variant for variant in best_first if variant.bit_rate <= _FIRST_BIT_RATE]
    begin = (modest or best_first[-1:])[:1]
    return begin + [variant for variant in best_first if variant not in begin]
