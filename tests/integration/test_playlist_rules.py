"""What playlists say, asserted over HTTP against a running origin: one test a rule."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator

import pytest

from origin.service import OriginLimits
from pipeline.grid import FRAME, SAMPLE_RATE, first_sample
from tests.origins import TAKE, Answer, RunningOrigin, on_the_air, running, settings
from tests.playlists import attribute, samples_to, segments, tag, tags
from tests.waiting import until


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    """Whole segments 0 to 8, and two parts of segment 9."""
    async with on_the_air((9, 2)) as origin:
        yield origin


async def test_the_target_duration_is_two_seconds_from_first_to_last(room: RunningOrigin) -> None:
    assert tag(await room.playlist(), "EXT-X-TARGETDURATION") == "#EXT-X-TARGETDURATION:2"
    await room.feed((12, 3))
    assert tag(await room.playlist(), "EXT-X-TARGETDURATION") == "#EXT-X-TARGETDURATION:2"


@pytest.mark.parametrize("parts", range(1, 11))
async def test_part_target_bounds_every_part_and_none_is_under_85_percent(parts: int) -> None:
    async with running(settings(parts=parts)) as room:
        await room.begin()
        await room.feed((4, 0))
        playlist = await room.playlist()
    target = attribute(tag(playlist, "EXT-X-PART-INF"), "PART-TARGET")
    assert target == f"{math.ceil(94 / parts) * FRAME / SAMPLE_RATE:.5f}"
    durations = [float(attribute(line, "DURATION")) for line in tags(playlist, "EXT-X-PART")]
    assert len(durations) == 2 * parts
    assert all(0.85 * float(target) <= duration <= float(target) for duration in durations)


async def test_the_holdbacks_and_the_skip_boundary(room: RunningOrigin) -> None:
    playlist = await room.playlist()
    control = tag(playlist, "EXT-X-SERVER-CONTROL")
    target = float(attribute(tag(playlist, "EXT-X-PART-INF"), "PART-TARGET"))
    assert attribute(control, "CAN-BLOCK-RELOAD") == "YES"
    assert float(attribute(control, "PART-HOLD-BACK")) == pytest.approx(3 * target, abs=1e-4)
    assert float(attribute(control, "PART-HOLD-BACK")) >= 3 * target
    assert attribute(control, "HOLD-BACK") == "6"
    assert attribute(control, "CAN-SKIP-UNTIL") == "12"
    assert attribute(control, "CAN-SKIP-DATERANGES") == "YES"


async def test_every_segment_has_its_date(room: RunningOrigin) -> None:
    playlist = await room.playlist()
    dates = [line.partition(":")[2] for line in tags(playlist, "EXT-X-PROGRAM-DATE-TIME")]
    assert len(dates) == 10  # nine whole ones and the open one
    for msn, date in enumerate(dates):
        milliseconds = first_sample(msn) * 1000 // SAMPLE_RATE
        assert date == f"2026-01-01T00:00:{milliseconds // 1000:02}.{milliseconds % 1000:03}Z"


async def test_everything_is_independent(room: RunningOrigin) -> None:
    playlist = await room.playlist()
    tag(playlist, "EXT-X-INDEPENDENT-SEGMENTS")
    assert {attribute(line, "INDEPENDENT") for line in tags(playlist, "EXT-X-PART")} == {"YES"}


async def test_parts_are_listed_for_the_last_two_whole_segments_and_the_open_one(room: RunningOrigin) -> None:
    listed = [attribute(line, "URI") for line in tags(await room.playlist(), "EXT-X-PART")]
    assert listed == [f"{msn}.{part}.m4s" for msn in (7, 8) for part in range(5)] + ["9.0.m4s", "9.1.m4s"]


async def test_parts_are_served_for_six_seconds_after_they_left_the_list(room: RunningOrigin) -> None:
    # Segment 8 became whole a moment ago: the parts of 6 left the list then, those of 4 four seconds before.
    for msn in (4, 5, 6):
        answer = await room.get(f"{msn}.4.m4s")
        assert (answer.status, answer.body) == (200, room.part(msn, 4))
    assert (await room.get("3.4.m4s")).status == 404


async def test_one_preload_hint_names_the_next_part(room: RunningOrigin) -> None:
    hint = tag(await room.playlist(), "EXT-X-PRELOAD-HINT")
    assert (attribute(hint, "TYPE"), attribute(hint, "URI")) == ("PART", "9.2.m4s")


async def test_the_hinted_part_is_held_and_answered_whole_with_its_length(room: RunningOrigin) -> None:
    request = asyncio.create_task(room.get("9.2.m4s"))
    await until(lambda: room.blocked == 1)
    await room.feed((9, 3))
    answer = await request
    assert (answer.status, answer.body) == (200, room.part(9, 2))
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert "Transfer-Encoding" not in answer.headers


async def test_a_hinted_part_that_never_comes_is_not_found(room: RunningOrigin) -> None:
    request = asyncio.create_task(room.get("9.2.m4s"))
    await until(lambda: room.blocked == 1)
    assert (await room.put("64k/9.gap", b"")).status == 201
    assert (await request).status == 404


async def test_every_other_rendition_is_reported() -> None:
    async with running(settings("64k", "32k", "128k")) as room:
        await room.begin()
        await room.feed((4, 2))
        await room.feed((4, 3), ("32k",))
        for name, others in (("64k", {"32k": "2", "128k": "1"}), ("32k", {"64k": "1", "128k": "1"})):
            reports = tags(await room.playlist(rendition=name), "EXT-X-RENDITION-REPORT")
            assert {attribute(line, "URI"): attribute(line, "LAST-PART") for line in reports} == {
                f"../{other}/index.m3u8": part for other, part in others.items()
            }
            assert {attribute(line, "LAST-MSN") for line in reports} == {"4"}


async def test_durations_have_five_decimals_and_are_those_of_the_media(room: RunningOrigin) -> None:
    durations = tags(await room.playlist(), "EXTINF")
    assert all(re.fullmatch(r"#EXTINF:\d\.\d{5},", line) for line in durations)
    frames = [round(float(line[8:-1]) * SAMPLE_RATE / FRAME) for line in durations]
    assert frames == [94, 94, 94, 93, 94, 94, 94, 93, 94]


async def test_media_playlists_are_relative_to_the_room(room: RunningOrigin) -> None:
    playlist = await room.get("/live/room/index.m3u8")
    assert segments(playlist) == [f"{TAKE}/64k/index.m3u8"]
    assert attribute(tag(playlist, "EXT-X-STREAM-INF"), "CODECS") == "mp4a.40.2"


async def test_bandwidth_starts_above_nominal_and_is_never_lowered() -> None:
    async with running(settings("16k")) as room:
        await room.begin()

        async def bandwidth() -> int:
            line = tag(await room.get("/live/room/index.m3u8"), "EXT-X-STREAM-INF")
            return int(attribute(line, "BANDWIDTH"))

        start = await bandwidth()
        assert 16_000 * 1.25 < start < 16_000 * 1.5
        seen = [start]
        for msn in range(1, 9):
            await room.feed((msn, 0))
            seen.append(await bandwidth())
        assert seen == sorted(seen)
        peak = max(
            len(room.segment(msn)) * 8 / (frames * FRAME / SAMPLE_RATE)
            for msn, frames in enumerate((94, 94, 94, 93, 94, 94, 94, 93))
        )
        assert seen[-1] == max(start, math.ceil(peak))


async def test_segments_are_the_concatenation_of_their_parts(room: RunningOrigin) -> None:
    for msn in range(9):
        assert (await room.get(f"{msn}.m4s")).body == room.segment(msn)


async def test_only_whole_segments_are_listed(room: RunningOrigin) -> None:
    assert segments(await room.playlist()) == [f"{msn}.m4s" for msn in range(9)]


async def test_a_segment_that_never_came_is_a_gap(room: RunningOrigin) -> None:
    assert (await room.put("64k/9.gap", b"")).status == 201
    lines = (await room.playlist()).lines
    at = lines.index("9.m4s")
    assert "#EXT-X-GAP" in lines[at - 3 : at]
    assert (await room.get("9.m4s")).status == 404
    # Its parts had been listed; a cache may hold them, and they do not change.
    assert (await room.get("9.1.m4s")).body == room.part(9, 1)


async def test_who_waits_is_told_of_a_gap_when_it_comes(room: RunningOrigin) -> None:
    # Part 5 of segment 9 is part 0 of segment 10; to who asks after the gap, part 0 of segment 11.
    await room.feed((10, 0))
    request = asyncio.create_task(room.get("index.m3u8?_HLS_msn=9&_HLS_part=5"))
    await until(lambda: room.blocked == 1)
    assert (await room.put("64k/10.gap", b"")).status == 201
    lines = (await request).body.decode().splitlines()
    assert "10.m4s" in lines
    assert "#EXT-X-GAP" in lines


async def test_media_leaves_the_window() -> None:
    async with running(limits=OriginLimits(window_seconds=6)) as room:
        await room.begin()
        await room.feed((9, 0))
        playlist = await room.playlist()
        assert segments(playlist) == ["6.m4s", "7.m4s", "8.m4s"]
        assert tag(playlist, "EXT-X-MEDIA-SEQUENCE") == "#EXT-X-MEDIA-SEQUENCE:6"
        assert (await room.get("1.m4s")).status == 404


async def event(room: RunningOrigin, sample: int, body: dict[str, object], n: int = 0) -> None:
    assert (await room.put(f"events/{sample}-{n}.json", json.dumps(body).encode())).status == 201


def ranges(playlist: Answer, kind: str) -> list[str]:
    return [line for line in tags(playlist, "EXT-X-DATERANGE") if attribute(line, "CLASS").endswith(kind)]


async def test_chapters_follow_one_another(room: RunningOrigin) -> None:
    await event(room, 48_000, {"kind": "chapter", "title": "One"})
    await event(room, 480_000, {"kind": "chapter", "title": 'Two "quoted"\n#EXTM3U'})
    chapters = ranges(await room.playlist(), "chapter")
    assert [attribute(line, "START-DATE") for line in chapters] == [
        "2026-01-01T00:00:01.000Z",
        "2026-01-01T00:00:10.000Z",
    ]
    assert {attribute(line, "END-ON-NEXT") for line in chapters} == {"YES"}


async def test_who_speaks_is_one_class_of_ranges(room: RunningOrigin) -> None:
    await event(room, 0, {"kind": "speakers", "speakers": ["Ann"]})
    await event(room, 96_000, {"kind": "speakers", "speakers": ["Ann", "Bob"]})
    await event(room, 192_000, {"kind": "speakers", "speakers": []})
    speaking = ranges(await room.playlist(), "speakers")
    assert [attribute(line, "X-SPEAKERS") for line in speaking] == ["Ann", "Ann,Bob", ""]
    assert len({attribute(line, "CLASS") for line in speaking}) == 1
    assert {attribute(line, "END-ON-NEXT") for line in speaking} == {"YES"}


async def test_an_event_shows_from_the_first_part_that_ends_after_it(room: RunningOrigin) -> None:
    sample = samples_to((9, 3))
    await event(room, sample - 1, {"kind": "chapter", "title": "Soon"})
    assert not ranges(await room.playlist(), "chapter")
    await room.feed((9, 3))
    assert ranges(await room.playlist(), "chapter")


async def test_date_ranges_are_identical_in_every_rendition() -> None:
    async with running(settings("64k", "32k")) as room:
        await room.begin()
        await room.feed((4, 0))
        await event(room, 1000, {"kind": "chapter", "title": "Ünïcode"})
        await event(room, 2000, {"kind": "speakers", "speakers": ["Ann"]})
        both = [tags(await room.playlist(rendition=name), "EXT-X-DATERANGE") for name in ("64k", "32k")]
        assert len(both[0]) == 2
        assert both[0] == both[1]
