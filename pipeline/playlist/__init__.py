"""Playlists: what they say (`model`), apart from how it is written (`media`, `multivariant`, `vod`).

rfc8216bis-22 is the law; the section beside each piece names its part of it. Everything is integers on the
grid until it is rendered.
"""

from pipeline.playlist.media import MediaText, render
from pipeline.playlist.model import TARGET_DURATION, MediaPlaylist, RenditionReport, Segment, Skip, Variant
from pipeline.playlist.multivariant import render_multivariant
from pipeline.playlist.vod import render_fragment_vod, render_vod, variant_of

__all__ = [
    "TARGET_DURATION",
    "MediaPlaylist",
    "MediaText",
    "RenditionReport",
    "Segment",
    "Skip",
    "Variant",
    "render",
    "render_fragment_vod",
    "render_multivariant",
    "render_vod",
    "variant_of",
]
