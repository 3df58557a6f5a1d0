"""What happened in a take, told by its owner once it is over: `story.json`. Pure: events in, a value out.

    {"room", "take", "room_title", "published", "epoch_us", "started_at", "samples", "seconds",
     "channels", "parts", "renditions", "encoder", and "private": true where it is,
     "speakers": [{"name", "joined": [[from, to], …], "spoke": [[from, to], …], "muted": [[from, to], …]}],
     "chapters": [{"sample", "title"}],
     "loudness": {"integrated"} or null,
     "events": [{"sample", "n", "kind", …}]}

`from`, `to` (which is left out) and `sample` count samples at 48 kHz from the take's epoch. `published` says
whether its replay is to be public at first, as its room wanted it. `take.json` is the same with what was
archived of it (`storage.commit`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, cast, get_args

from contracts.ids import check_room, check_take
from contracts.take import (
    EventKind,
    Rendition,
    TakeEvent,
    TakeHeader,
    TakeKey,
    TakeSettings,
    read_private,
)

_SAMPLE_RATE: Final = 48_000
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Span = tuple[int, int]
"""From a sample up to another, which is left out."""


@dataclass(frozen=True, slots=True)
class SpeakerRecord:
    """When one speaker was connected, was heard, and was muted by a host; spans in the order of time."""

    name: str
    joined: tuple[Span, ...] = ()
    spoke: tuple[Span, ...] = ()
    muted: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Loudness:
    """How loud the whole take was (EBU R128): `integrated` in LUFS."""

    integrated: float


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known when a take ends: how loud it was, its room's title, whether its replay is public."""

    loudness: Loudness | None = None
    room_title: str = ""
    published: bool = True


@dataclass(frozen=True, slots=True)
class TakeRecord:
    """One take that is over. `samples` is its length; `events` is all that was said of it, in order.

    `room_title` is what the room was called when it ended.
    """

    key: TakeKey
    header: TakeHeader
    samples: int
    speakers: tuple[SpeakerRecord, ...]
    chapters: tuple[TakeEvent, ...]
    loudness: Loudness | None
    events: tuple[TakeEvent, ...]
    room_title: str = ""
    published: bool = True

    @property
    def started_at(self) -> datetime:
        """The UTC instant of sample 0."""
        return _UNIX_EPOCH + timedelta(microseconds=self.header.epoch_us)

    def to_json(self) -> dict[str, object]:
        """The file's form."""
        return {
            "room": self.key.room,
            "take": self.key.take,
            "room_title": self.room_title,
            "published": self.published,
            "started_at": self.started_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "samples": self.samples,
            "seconds": round(self.samples / _SAMPLE_RATE, 5),
            **self.header.to_json(),
            "speakers": [_speaker(speaker) for speaker in self.speakers],
            "chapters": [{"sample": event.sample, "title": event.title} for event in self.chapters],
            "loudness": _loudness(self.loudness),
            "events": [{"sample": event.sample, "n": event.n, **event.to_json()} for event in self.events],
        }

    @classmethod
    def from_json(cls, obj: Any) -> TakeRecord:  # noqa: ANN401 - parsed JSON
        """From the file's form. Raises KeyError, TypeError or ValueError (BadRequest) on nonsense."""
        renditions = tuple(Rendition(str(name)) for name in obj["renditions"])
        settings = TakeSettings(obj["channels"], obj["parts"], renditions, private=read_private(obj))
        events = tuple(_read_event(event) for event in obj["events"])
        by_id = {(event.sample, event.title): event for event in events if event.kind == "chapter"}
        loudness = obj["loudness"]
        return cls(
            key=TakeKey(check_room(obj["room"]), check_take(obj["take"])),
            header=TakeHeader(int(obj["epoch_us"]), settings, str(obj["encoder"])),
            samples=int(obj["samples"]),
            speakers=tuple(_read_speaker(speaker) for speaker in obj["speakers"]),
            chapters=tuple(
                by_id.get((chapter["sample"], chapter["title"]))
                or TakeEvent(int(chapter["sample"]), 0, "chapter", title=str(chapter["title"]))
                for chapter in obj["chapters"]
            ),
            loudness=None if loudness is None else Loudness(float(loudness["integrated"])),
            events=events,
            room_title=str(obj.get("room_title", "")),
            published=bool(obj.get("published", True)),
        )


def take_record(
    key: TakeKey,
    header: TakeHeader,
    samples: int,
    events: Iterable[TakeEvent],
    ending: Ending | None = None,
) -> TakeRecord:
    """The record of a take of `samples`. `events` may come in any order, and twice.

    What was open at the end ends there. Who leaves speaks no more, also where nobody said so; who joins again
    without having left (the server was killed in between) was there all the time.
    """
    ending = ending or Ending()
    unique = {(event.sample, event.n): event for event in events}
    ordered = tuple(unique[name] for name in sorted(unique))
    return TakeRecord(
        key=key,
        header=header,
        samples=samples,
        speakers=_speakers(ordered, samples),
        chapters=tuple(event for event in ordered if event.kind == "chapter" and event.sample < samples),
        loudness=ending.loudness,
        events=ordered,
        room_title=ending.room_title,
        published=ending.published,
    )


# ---- who, and when -----------------------------------------------------------------------------------------

_What = Literal["joined", "spoke", "muted"]
_BEGINS: Final[Mapping[EventKind, _What]] = MappingProxyType(
    {"join": "joined", "start": "spoke", "mute": "muted"}
)
_ENDS: Final[Mapping[EventKind, tuple[_What, ...]]] = MappingProxyType(
    {"leave": ("joined", "spoke"), "stop": ("spoke",), "unmute": ("muted",)}
)


@dataclass
class _Spans:
    """One speaker's spans while they are put together."""

    done: dict[_What, list[Span]] = field(default_factory=lambda: {"joined": [], "spoke": [], "muted": []})
    open: dict[_What, int] = field(default_factory=dict)

    def begin(self, what: _What, sample: int) -> None:
        self.open.setdefault(what, sample)

    def end(self, what: _What, sample: int) -> None:
        start = self.open.pop(what, None)
        if start is not None and start < sample:
            self.done[what].append((start, sample))


def _speakers(events: Sequence[TakeEvent], samples: int) -> tuple[SpeakerRecord, ...]:
    """Everybody of whom anything was said, in the order of their first appearance."""
    spans: dict[str, _Spans] = {}
    for event in events:
        begins, ends = _BEGINS.get(event.kind), _ENDS.get(event.kind, ())
        if begins is None and not ends:
            continue
        sample = min(event.sample, samples)
        for name in event.speakers:
            speaker = spans.setdefault(name, _Spans())
            if begins is not None:
                speaker.begin(begins, sample)
            for what in ends:
                speaker.end(what, sample)
    for speaker in spans.values():
        for what in tuple(speaker.open):
            speaker.end(what, samples)
    return tuple(
        SpeakerRecord(name, **{what: tuple(done) for what, done in speaker.done.items()})
        for name, speaker in spans.items()
    )


def _speaker(speaker: SpeakerRecord) -> dict[str, object]:
    spans = {"joined": speaker.joined, "spoke": speaker.spoke, "muted": speaker.muted}
    return {"name": speaker.name, **{what: [[*span] for span in found] for what, found in spans.items()}}


def _loudness(loudness: Loudness | None) -> dict[str, object] | None:
    return None if loudness is None else {"integrated": round(loudness.integrated, 2)}


def _read_speaker(obj: Any) -> SpeakerRecord:  # noqa: ANN401 - parsed JSON
    spans = {what: tuple((int(a), int(b)) for a, b in obj[what]) for what in ("joined", "spoke", "muted")}
    return SpeakerRecord(str(obj["name"]), **spans)


def _read_event(obj: Any) -> TakeEvent:  # noqa: ANN401 - parsed JSON
    if obj["kind"] not in get_args(EventKind):
        raise ValueError(f"an event of kind {obj['kind']!s:.20}")
    names = tuple(str(name) for name in obj.get("speakers", ()))
    kind = cast("EventKind", obj["kind"])
    return TakeEvent(int(obj["sample"]), int(obj["n"]), kind, title=str(obj.get("title", "")), speakers=names)
