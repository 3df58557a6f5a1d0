"""Rendered playlists, read by two programs that know nothing of us: hls-parser (strict) and m3u8."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import m3u8
import pytest

from contracts.take import TakeEvent
from pipeline.grid import FRAME, SAMPLE_RATE
from pipeline.playlist import Skip, render_vod
from pipeline.take_window import TakeWindow
from tests import programs
from tests.compliance.states import (
    HOSTILE,
    STATES,
    first_segment,
    gaps,
    hostile_chapters,
    middle_of_a_segment,
)

needs_oracle = pytest.mark.needs("node", "hls-parser")
every_state = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)


def read_strictly(*texts: str) -> list[dict[str, Any]]:
    """What hls-parser understands of each playlist. Fails on its first complaint."""
    script = Path(__file__).parent / "read_strict.cjs"
    done = subprocess.run(
        [programs.path("node"), script, programs.path("hls-parser")],
        input=json.dumps([tolerated(text) for text in texts]),
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=30,
    )
    answers = json.loads(done.stdout)
    assert [answer["error"] for answer in answers if "error" in answer] == []
    return [answer["playlist"] for answer in answers]


def tolerated(text: str) -> str:
    """The playlist as hls-parser wants it where it does not follow rfc8216bis-22.

    It asks for version 8 where there is an EXT-X-GAP, as early drafts did. Section 8 does not any more, and
    6.2.1 wants no higher version than section 8 does.
    """
    return text.replace("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:8\n") if "#EXT-X-GAP\n" in text else text


def media_playlists(take: TakeWindow) -> list[str]:
    return [take.media_playlist(name, skip=skip) for name in take.renditions for skip in Skip]


def whole(playlist: dict[str, Any]) -> list[dict[str, Any]]:
    """The segments with a URI: hls-parser counts the open one among them."""
    return [segment for segment in playlist["segments"] if segment["uri"]]


@needs_oracle
@every_state
def test_hls_parser_reads_every_state_strictly(state: Callable[[], TakeWindow]) -> None:
    take = state()
    texts = media_playlists(take)
    for text, playlist in zip(texts, read_strictly(*texts), strict=True):
        window = take.renditions["64k"]
        assert playlist["targetDuration"] == 2
        assert playlist["endlist"] == window.ended
        assert playlist["mediaSequenceBase"] == window.first
        assert playlist["independentSegments"]
        assert playlist["lowLatencyCompatibility"]["canBlockReload"]
        assert playlist["skip"] + len(whole(playlist)) == len(window.segments)
        assert ("EXT-X-SKIP" in text) == (playlist["skip"] > 0)


@needs_oracle
@every_state
def test_hls_parser_reads_the_multivariant_playlist_strictly(state: Callable[[], TakeWindow]) -> None:
    take = state()
    (playlist,) = read_strictly(take.multivariant("20260101T000000Z-abc234"))
    assert playlist["isMasterPlaylist"]
    assert {variant["uri"] for variant in playlist["variants"]} == {
        f"20260101T000000Z-abc234/{name}/index.m3u8" for name in take.renditions
    }
    for variant in playlist["variants"]:
        assert variant["codecs"] == "mp4a.40.2"
        assert variant["averageBandwidth"] <= variant["bandwidth"]


@needs_oracle
def test_hls_parser_finds_every_part_and_the_hint() -> None:
    (playlist, _) = read_strictly(*media_playlists(middle_of_a_segment())[:2])
    parts = [(part["uri"], part["hint"]) for segment in playlist["segments"] for part in segment["parts"]]
    listed = [f"{msn}.{index}.m4s" for msn in (1, 2) for index in range(5)] + [
        "3.0.m4s",
        "3.1.m4s",
        "3.2.m4s",
    ]
    assert parts == [*((uri, False) for uri in listed), ("3.3.m4s", True)]
    assert [
        (report["uri"], report["lastMSN"], report["lastPart"]) for report in playlist["renditionReports"]
    ] == [
        ("../32k/index.m3u8", 3, 2),
        ("../128k/index.m3u8", 3, 2),
    ]


@needs_oracle
def test_hls_parser_reads_hostile_titles_back() -> None:
    # It keeps only the last date range before a segment: one playlist for each.
    takes = []
    for title in HOSTILE:
        take = first_segment()
        take.put_event(TakeEvent(0, 0, "chapter", title=title))
        takes.append(take)
    playlists = read_strictly(*(take.media_playlist("64k") for take in takes))
    ranges = [playlist["segments"][0]["dateRange"] for playlist in playlists]
    assert [unquote(item["attributes"]["X-TITLE"]) for item in ranges] == [*HOSTILE]
    assert {(item["classId"], item["endOnNext"]) for item in ranges} == {("com.longwave.chapter", True)}


@needs_oracle
def test_hls_parser_reads_hostile_names_back() -> None:
    take = first_segment()
    take.put_event(TakeEvent(0, 0, "speakers", speakers=HOSTILE))
    (playlist,) = read_strictly(take.media_playlist("64k"))
    names = playlist["segments"][0]["dateRange"]["attributes"]["X-SPEAKERS"]
    assert [unquote(name) for name in names.split(",")] == [*HOSTILE]


@needs_oracle
def test_hls_parser_reads_a_vod_playlist_strictly() -> None:
    take = middle_of_a_segment()
    (playlist,) = read_strictly(render_vod(take.renditions["64k"].segments, take.grid))
    assert playlist["playlistType"] == "VOD"
    assert len(playlist["segments"]) == 3


@every_state
def test_m3u8_reads_every_state(state: Callable[[], TakeWindow]) -> None:
    take = state()
    for name, window in take.renditions.items():
        playlist = m3u8.loads(take.media_playlist(name))
        assert playlist.media_sequence == window.first
        assert bool(playlist.is_endlist) == window.ended
        segments = [segment for segment in playlist.segments if segment.uri]
        assert [segment.uri for segment in segments] == [f"{segment.msn}.m4s" for segment in window.segments]
        assert [segment.gap_tag is not None for segment in segments] == [
            segment.gap for segment in window.segments
        ]
        assert {segment.init_section.uri for segment in segments} == {"init.mp4"}
        for ours, theirs in zip(window.segments, segments, strict=True):
            assert theirs.duration == round(ours.frames(take.grid) * FRAME / SAMPLE_RATE, 5)
        _check_dates(segments)
        _check_parts(playlist)


def _check_dates(segments: list[Any]) -> None:
    """Each date is that of the one before it plus its duration, to the millisecond that is rounded away."""
    for before, after in pairwise(segments):
        distance = (after.program_date_time - before.program_date_time).total_seconds()
        assert abs(distance - before.duration) <= 0.001


def _check_parts(playlist: m3u8.M3U8) -> None:
    target = playlist.part_inf.part_target
    for segment in playlist.segments:
        durations = [part.duration for part in segment.parts]
        assert all(0.85 * target <= duration <= target for duration in durations)
        if segment.uri and durations:
            assert sum(durations) == pytest.approx(segment.duration, abs=0.00005)
    assert playlist.server_control.part_hold_back >= 3 * target
    assert playlist.server_control.can_skip_until >= 6 * playlist.target_duration
    assert playlist.server_control.hold_back >= 3 * playlist.target_duration


def test_m3u8_reads_hostile_titles_back() -> None:
    playlist = m3u8.loads(hostile_chapters().media_playlist("64k"))
    ranges = [item for segment in playlist.segments for item in segment.dateranges]
    titles = [dict(item.x_client_attrs) for item in ranges if item.class_ == "com.longwave.chapter"]
    assert [unquote(attributes["x_title"].strip('"')) for attributes in titles] == [*HOSTILE]


def test_m3u8_reads_a_delta_update() -> None:
    take = gaps()
    for skip, version in ((Skip.YES, 9), (Skip.V2, 10)):
        playlist = m3u8.loads(take.media_playlist("64k", skip=skip))
        assert playlist.version == version
        assert playlist.server_control.can_skip_dateranges == "YES"
        assert playlist.skip.skipped_segments + len([s for s in playlist.segments if s.uri]) == 11
