"""Delta updates merged by those who merge them: hls.js itself, and the two rules of rfc8216bis 6.2.5.1."""

from __future__ import annotations

import json
import random
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from contracts.position import Position
from contracts.take import TakeEvent
from pipeline.grid import SAMPLE_RATE
from pipeline.playlist import Skip
from pipeline.take_window import TakeWindow
from tests import programs
from tests.compliance.states import HOSTILE
from tests.takes import part, positions, window

SEGMENTS = 10
BOUNDARY = 12 * SAMPLE_RATE
FORMS = {skip.value: skip for skip in Skip}


def title(second: int) -> str:
    """Any title at all, always the same at the same second."""
    chosen = random.Random(second)
    return "".join(
        chosen.choices("\"'%{}$,=\\\t\r\n\x00\x85\u2028\u2029\ufeff🎙\u00e9#X-TITLE abc", k=1 + 12 * second)
    )


def conversation(seconds: int) -> list[TakeEvent]:
    """Somebody else speaks every second, and each seven seconds there is a chapter, under any title."""
    talk = [
        TakeEvent(
            second * SAMPLE_RATE + 321, 0, "speakers", speakers=(f"Speaker {second}", HOSTILE[second % 10])
        )
        for second in range(seconds)
    ]
    chapters = [
        TakeEvent(second * SAMPLE_RATE + 5, 1, "chapter", title=title(second))
        for second in range(0, seconds, 7)
    ]
    return talk + chapters


def forms(take: TakeWindow) -> dict[str, str]:
    """A playlist as it is now, by the value of `_HLS_skip`."""
    return {value: take.media_playlist("64k", skip=skip) for value, skip in FORMS.items()}


@dataclass(frozen=True)
class Step:
    """What the playlist says once there is sound up to sample `stop`, by the value of `_HLS_skip`."""

    stop: int
    says: dict[str, str]

    @property
    def is_update(self) -> bool:
        return "EXT-X-SKIP" in self.says["v2"]


def live_room(segments: int) -> list[Step]:
    """A room whose playlist is read after every part, as soon as it can be."""
    take = window(segments=SEGMENTS)
    for event in conversation(2 * segments):
        take.put_event(event)
    steps = []
    for position in positions(take.grid, Position(0, 0), Position(segments, 0)):
        take.put_part("64k", *position, part(take.grid, *position))
        if take.renditions["64k"].answerable:
            steps.append(Step(take.grid.stop_sample(position), forms(take)))
    return steps


def range_lines(text: str) -> dict[str, str]:
    return {
        match[1]: match[0] for match in re.finditer(r'^#EXT-X-DATERANGE:ID="([^"]+)".*$', text, re.MULTILINE)
    }


def removed_ids(text: str) -> set[str]:
    line = r'^#EXT-X-SKIP:SKIPPED-SEGMENTS=\d+,RECENTLY-REMOVED-DATERANGES="([^"]*)"$'
    match = re.search(line, text, re.MULTILINE)
    assert match is not None, text[:400]
    return set(filter(None, match[1].split("\t")))


@pytest.mark.needs("node", "hls.js")
def test_hls_js_knows_every_range_after_any_number_of_delta_updates() -> None:
    steps = live_room(40)
    take = window()
    story = {
        "multivariant": take.multivariant("20260101T000000Z-abc234"),
        "steps": [step.says for step in steps],
    }
    script = Path(__file__).parent / "follow_hls_js.mjs"
    done = subprocess.run(
        [programs.path("node"), script, programs.path("hls.js")],
        input=json.dumps(story),
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    heard: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(heard) == len(steps)
    assert [step["asked"].get("_HLS_skip") for step in heard[1:]] == ["v2"] * (len(heard) - 1)
    assert all(step["skipped"] for step in heard[40:]), "nothing was skipped: this tests nothing"
    for step, said in zip(heard, steps, strict=True):
        assert not step["failed"]
        listed = range_lines(said.says[""])
        assert set(step["ranges"]) == set(listed)
        for name, attributes in step["ranges"].items():
            assert attributes["valid"]
            assert attributes["END-ON-NEXT"] == "YES"
            assert f'START-DATE="{attributes["START-DATE"]}"' in listed[name]
            if attributes["CLASS"] == "com.longwave.chapter":
                assert unquote(attributes["X-TITLE"]) == title(int(name.split("-")[1]) // SAMPLE_RATE)
    last = steps[-1].says
    assert len(range_lines(last[""])) > len(range_lines(last["v2"])) > 5


def test_an_update_without_old_ranges_has_those_of_the_last_twelve_seconds_and_no_other() -> None:
    came: dict[str, int] = {}
    updates = 0
    for step in live_room(30):
        listed = range_lines(step.says[""])
        for name in listed:
            came.setdefault(name, step.stop)
        if not step.is_update:
            assert step.says["v2"] == step.says[""]
            continue
        updates += 1
        recent = {name: line for name, line in listed.items() if step.stop - came[name] <= BOUNDARY}
        assert range_lines(step.says["v2"]) == recent
    assert updates > 50


def test_an_update_names_the_ranges_that_left_within_the_last_twelve_seconds_and_no_other() -> None:
    before: set[str] = set()
    left: dict[str, int] = {}
    named = 0
    for step in live_room(30):
        listed = set(range_lines(step.says[""]))
        left |= dict.fromkeys(before - listed, step.stop)
        before = listed
        if step.is_update:
            told = removed_ids(step.says["v2"])
            assert told == {name for name, stop in left.items() if step.stop - stop <= BOUNDARY}
            named = max(named, len(told))
    assert 10 < named < len(left)


def test_only_the_update_without_old_ranges_needs_version_10() -> None:
    step = live_room(20)[-1].says
    versions = {value: text.splitlines()[1] for value, text in step.items()}
    assert versions == {"": "#EXT-X-VERSION:6", "YES": "#EXT-X-VERSION:9", "v2": "#EXT-X-VERSION:10"}
    assert range_lines(step["YES"]) == range_lines(step[""])
    assert "RECENTLY-REMOVED-DATERANGES" not in step["YES"]


def test_an_update_names_nothing_where_nothing_has_left() -> None:
    take = window()
    for position in positions(take.grid, Position(0, 0), Position(9, 0)):
        take.put_part("64k", *position, part(take.grid, *position))
    assert '#EXT-X-SKIP:SKIPPED-SEGMENTS=2,RECENTLY-REMOVED-DATERANGES=""\n' in forms(take)["v2"]
