"""A worker that repeats, reorders, conflicts, skips and fills, and what must hold whatever it does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.errors import BytesConflict, MediaMissing, OutOfOrder, PublisherError, TakeEnded
from contracts.position import Position
from contracts.take import TakeEvent
from pipeline.grid import SAMPLE_RATE, SEGMENT, Grid
from pipeline.playlist.model import SEGMENTS_WITH_PARTS, TARGET_DURATION, Skip
from pipeline.window import Invalid, Put, Ready, Wait
from pipeline.window.rendition import SERVED_AFTER
from tests.takes import part, segment, window

NAMES = ("64k", "32k")
WINDOW = 9
UNIT = b"\x01" * 8
START = Position(0, 0)
OTHER = b"\x02" * 8

_SEQUENCE = re.compile(r"#EXT-X-MEDIA-SEQUENCE:(\d+)\n")
_PART = re.compile(r'#EXT-X-PART:.*URI="(\d+)\.(\d+)\.m4s"')
_SEGMENT = re.compile(r"(#EXT-X-GAP\n)?#EXTINF:[0-9.]+,\n(\d+)\.m4s\n")
_SKIP = re.compile(r"^#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)", re.MULTILINE)
_HINT = re.compile(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="(\d+)\.(\d+)\.m4s"\n')


@dataclass
class Seen:
    """What a listener of one rendition, and its CDN, remember."""

    media_sequence: int = 0
    upcoming: Position = START
    bodies: dict[tuple[int, ...], bytes] = field(default_factory=dict)
    gaps: dict[int, bool] = field(default_factory=dict)
    versions: dict[int, str] = field(default_factory=dict)
    waiting: set[Position] = field(default_factory=set)


class Windows(RuleBasedStateMachine):
    @initialize(parts=st.sampled_from([1, 3, 5, 10]), first=st.integers(0, 40))
    def start(self, parts: int, first: int) -> None:
        self.take = window(*NAMES, parts=parts, segments=WINDOW)
        self.grid = Grid(parts)
        self.first = first
        self.events = 0
        self.put_there: dict[tuple[str, Position], bytes] = {}
        self.seen = {name: Seen() for name in NAMES}

    # ---- what a worker does

    def started(self) -> bool:
        return all(rendition.first is not None for rendition in self.take.renditions.values())

    def position(self, name: str) -> Position:
        rendition = self.take.renditions[name]
        return Position(self.first, 0) if rendition.first is None else rendition.next

    def put(self, name: str, position: Position, unit: bytes) -> Put | PublisherError:
        try:
            answer = self.take.put_part(name, *position, part(self.grid, *position, unit))
        except PublisherError as error:
            return error
        if answer is Put.NEW:
            self.put_there[name, position] = unit
        return answer

    @rule(name=st.sampled_from(NAMES), count=st.integers(1, 40))
    def put_next(self, name: str, count: int) -> None:
        for _ in range(count):
            answer = self.put(name, self.position(name), UNIT)
            assert answer is Put.NEW or (self.take.ended and isinstance(answer, TakeEnded))

    @precondition(lambda self: self.started())
    @rule(name=st.sampled_from(NAMES), back=st.integers(1, 60), unit=st.sampled_from([UNIT, OTHER]))
    def repeat(self, name: str, back: int, unit: bytes) -> None:
        rendition = self.take.renditions[name]
        ordinal = rendition.next.msn * self.grid.parts + rendition.next.part - back
        position = Position(*divmod(ordinal, self.grid.parts))
        if ordinal < 0:
            return
        answer = self.put(name, position, unit)
        if position.msn < (rendition.first or 0) or position.msn in rendition.gaps:
            assert answer is Put.IGNORED
        elif (name, position) not in self.put_there:
            assert isinstance(answer, TakeEnded)
        elif self.put_there[name, position] == unit:
            assert answer is Put.SAME
        else:
            assert isinstance(answer, BytesConflict)

    @rule(name=st.sampled_from(NAMES), ahead=st.integers(1, 30))
    def put_out_of_order(self, name: str, ahead: int) -> None:
        upcoming = self.position(name)
        position = Position(*divmod(upcoming.msn * self.grid.parts + upcoming.part + ahead, self.grid.parts))
        started = self.take.renditions[name].first is not None
        if not started and position.part == 0:
            return
        answer = self.put(name, position, UNIT)
        if self.take.ended:
            assert isinstance(answer, TakeEnded)
        else:
            assert isinstance(answer, OutOfOrder)
            assert answer.expected == (upcoming if started else (position.msn, 0))

    @rule(name=st.sampled_from(NAMES), distance=st.integers(-8, 2), unit=st.sampled_from([UNIT, OTHER]))
    def put_whole(self, name: str, distance: int, unit: bytes) -> None:
        msn = self.position(name).msn + distance
        if msn < 0 or (self.take.renditions[name].first is None and distance):
            return
        try:
            answer = self.take.put_segment(name, msn, segment(self.grid, msn, unit))
        except (OutOfOrder, BytesConflict, TakeEnded):
            return
        if answer is Put.NEW:
            for index in range(self.grid.parts):
                assert self.put_there.setdefault((name, Position(msn, index)), unit) == unit

    @rule(name=st.sampled_from(NAMES), distance=st.integers(-8, 2))
    def put_gap(self, name: str, distance: int) -> None:
        msn = self.position(name).msn + distance
        if msn < 0 or (self.take.renditions[name].first is None and distance):
            return
        try:
            self.take.put_gap(name, msn)
        except (OutOfOrder, TakeEnded):
            return

    @rule(ahead=st.integers(-4 * SEGMENT, 2 * SEGMENT), chapter=st.booleans())
    def put_event(self, ahead: int, *, chapter: bool) -> None:
        sample = max(0, self.position("64k").msn * SEGMENT + ahead)
        kind: Any = "chapter" if chapter else "speakers"
        self.events += 1
        try:
            self.take.put_event(TakeEvent(sample, self.events, kind, title="t" if chapter else ""))
        except TakeEnded:
            assert self.take.ended

    @precondition(lambda self: self.started() and not self.take.ended)
    @rule(short=st.integers(-2, 2), now=st.sampled_from([False] * 9 + [True]))
    def end(self, short: int, *, now: bool) -> None:
        if not now:
            return  # most of a take is not its end
        upcoming = min(self.position(name) for name in NAMES)
        ordinal = max(0, upcoming.msn * self.grid.parts + upcoming.part - 1 + short)
        position = Position(*divmod(ordinal, self.grid.parts))
        try:
            self.take.end(self.grid.stop_sample(position))
        except MediaMissing as error:
            missing = error
        else:
            assert self.take.ended
            return
        assert missing.expected <= position
        assert not self.take.ended

    @rule(name=st.sampled_from(NAMES), ahead=st.integers(-12, 14), whole=st.booleans())
    def ask(self, name: str, ahead: int, *, whole: bool) -> None:
        rendition, upcoming = self.take.renditions[name], self.position(name)
        msn, index = divmod(max(0, upcoming.msn * self.grid.parts + upcoming.part + ahead), self.grid.parts)
        asked = rendition.locate(msn, None if whole else index)
        if rendition.answerable:
            # Media is waited for as the playlist that lists it is.
            coming = rendition.coming(msn, None if whole else index)
            assert coming == (asked.target if isinstance(asked, Wait) else None)
        match asked:
            case Wait(target):
                assert not rendition.ended
                if rendition.answerable:
                    assert target >= rendition.next
                    # 6.2.5.2 answers 503 after three target durations: what is waited for comes before.
                    media = self.grid.stop_sample(target) - self.grid.start_sample(rendition.next)
                    assert media <= 3 * TARGET_DURATION * SAMPLE_RATE
                    self.seen[name].waiting.add(target)
            case Ready():
                assert rendition.answerable
                past = (msn, self.grid.parts - 1 if whole else index)
                last = rendition.segments[-1]
                assert rendition.ended or past < rendition.next or past < (last.msn, 99)
            case Invalid():
                assert ahead > 0

    # ---- what must hold

    @invariant()
    def listeners_are_never_misled(self) -> None:
        for name in NAMES:
            seen, rendition = self.seen[name], self.take.renditions[name]
            assert rendition.next >= seen.upcoming
            seen.upcoming = rendition.next
            if rendition.answerable:
                text = self.take.media_playlist(name)
                assert seen.versions.setdefault(rendition.version, text) == text
                self.read(name, text)
                for skip in (Skip.YES, Skip.V2):
                    self.read_delta(text, self.take.media_playlist(name, skip=skip))
            seen.waiting = {target for target in seen.waiting if target >= rendition.next}
            self.fetch_everything_again(name)

    def read(self, name: str, text: str) -> None:
        seen, rendition = self.seen[name], self.take.renditions[name]
        first = int(_SEQUENCE.findall(text)[0])
        assert first >= seen.media_sequence
        seen.media_sequence = first
        listed = [(int(msn), bool(gap)) for gap, msn in _SEGMENT.findall(text)]
        assert [msn for msn, _ in listed] == [*range(first, first + len(listed))]
        assert len(listed) <= WINDOW
        assert [msn for msn, gap in listed if gap] == [*rendition.gaps]
        assert (
            (first, listed[-1][0] + 1) == (rendition.first, rendition.next.msn) if listed else rendition.ended
        )
        for msn, gap in listed:
            assert seen.gaps.setdefault(msn, gap) == gap
            body = rendition.segment_bytes(msn)
            assert (body is None) == gap
            if body is not None:
                assert seen.bodies.setdefault((msn,), body) == body
        for msn, index in _PART.findall(text):
            body = rendition.part_bytes(int(msn), int(index))
            assert body is not None
            assert seen.bodies.setdefault((int(msn), int(index)), body) == body
        hints = [(int(msn), int(index)) for msn, index in _HINT.findall(text)]
        assert hints == ([] if rendition.ended else [rendition.next])
        assert text.endswith("#EXT-X-ENDLIST\n") == rendition.ended

    def read_delta(self, full: str, delta: str) -> None:
        skipped = _SKIP.search(delta)
        if skipped is None:
            assert delta == full
            return
        count = int(skipped[1])
        assert 0 < count < WINDOW
        assert _SEGMENT.findall(delta) == _SEGMENT.findall(full)[count:]

    def fetch_everything_again(self, name: str) -> None:
        rendition = self.take.renditions[name]
        for (msn, *index), body in self.seen[name].bodies.items():
            again = rendition.part_bytes(msn, index[0]) if index else rendition.segment_bytes(msn)
            held = (SEGMENTS_WITH_PARTS if index else WINDOW) + SERVED_AFTER
            assert again == (body if msn >= rendition.next.msn - held else None)

    @invariant()
    def date_ranges_are_the_same_everywhere(self) -> None:
        texts = [
            [
                line
                for line in self.take.media_playlist(name).splitlines()
                if line.startswith("#EXT-X-DATERANGE:")
            ]
            for name in NAMES
        ]
        assert texts[0] == texts[1]
        starts = [re.findall(r'START-DATE="([^"]+)"', line)[0] for line in texts[0]]
        assert starts == sorted(starts)
        for kind in ("chapter", "speakers"):
            dates = [start for start, line in zip(starts, texts[0], strict=True) if f'"{kind}-' in line]
            assert len(dates) == len(set(dates))

    def teardown(self) -> None:
        # Nobody waits for ever: with the media that is still to come, every wait is over.
        for name in NAMES if hasattr(self, "take") and not self.take.ended else ():
            for target in self.seen[name].waiting:
                while self.position(name) <= target:
                    assert self.put(name, self.position(name), UNIT) is Put.NEW
                assert self.take.renditions[name].locate(*target) == Ready()


TestWindows = Windows.TestCase
TestWindows.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
