"""A take: its name, its frozen settings, and what happens in it, with their JSON forms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from contracts.errors import BadRequest
from contracts.ids import MAX_SPEAKER_NAME, MAX_TITLE, check_rendition, check_room, check_take

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

MAX_RENDITIONS: Final = 8
MAX_PARTS: Final = 10
MAX_SPEAKERS_IN_EVENT: Final = 64
MAX_ENCODER: Final = 128
# More than five years: whoever says that a take is longer is mistaken.
MAX_SAMPLES: Final = 2**43
# Past the year 9999 there is no ISO 8601 date to render.
MAX_EPOCH_US: Final = 253_402_300_799_000_000
# AAC-LC at 48 kHz: under 16 kbit/s it is not worth hearing; 6144 bits a frame and channel are the ceiling.
MIN_KBIT: Final = 16
MAX_KBIT_PER_CHANNEL: Final = 256
_MAX_EVENTS_OF_A_SAMPLE: Final = 10**9
_EVENT_ID: Final = re.compile(r"(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,8})")


class TakeKey(NamedTuple):
    """Names one take among all."""

    room: str
    take: str


def take_name(key: TakeKey) -> str:
    """`room/take`."""
    return f"{key.room}/{key.take}"


def parse_take_name(text: str) -> TakeKey:
    """The take that `take_name` named. Raises BadRequest."""
    room, _, take = text.partition("/")
    return TakeKey(check_room(room), check_take(take))


@dataclass(frozen=True, slots=True)
class Rendition:
    """One AAC-LC encoding of the take, named by its nominal bit rate: `64k`."""

    name: str

    def __post_init__(self) -> None:
        check_rendition(self.name)

    @property
    def bit_rate(self) -> int:
        """Nominal bits a second."""
        return int(self.name[:-1]) * 1000


DEFAULT_RENDITIONS: Final = (Rendition("64k"),)


def parse_renditions(text: str) -> tuple[Rendition, ...]:
    """`"32k,64k"` → renditions. Raises BadRequest."""
    return tuple(Rendition(name.strip()) for name in text.split(","))


@dataclass(frozen=True, slots=True)
class TakeSettings:
    """What is frozen when a take starts. Raises BadRequest when it cannot be encoded.

    A `private` take is heard by those alone who were let in (`contracts.listen`).
    """

    channels: int = 1
    parts: int = 5
    renditions: tuple[Rendition, ...] = DEFAULT_RENDITIONS
    private: bool = False

    def __post_init__(self) -> None:
        _check_int("channels", self.channels, 1, 2)
        _check_int("parts", self.parts, 1, MAX_PARTS)
        if not 1 <= len(self.renditions) <= MAX_RENDITIONS:
            raise BadRequest(f"renditions: 1 to {MAX_RENDITIONS} of them")
        if len(set(self.renditions)) != len(self.renditions):
            raise BadRequest("renditions: each of them once")
        ceiling = MAX_KBIT_PER_CHANNEL * self.channels
        for rendition in self.renditions:
            if not MIN_KBIT <= rendition.bit_rate // 1000 <= ceiling:
                raise BadRequest(f"renditions: {MIN_KBIT}k to {ceiling}k with {self.channels} channel(s)")


@dataclass(frozen=True, slots=True)
class TakeHeader:
    """`take.json` of the *For workers* contract: put first, immutable.

    `epoch_us` is the UTC instant of sample 0 in microseconds; `encoder` is the encoder fingerprint.
    """

    epoch_us: int
    settings: TakeSettings
    encoder: str

    def to_json(self) -> dict[str, object]:
        """The wire form."""
        return {
            "epoch_us": self.epoch_us,
            "channels": self.settings.channels,
            "parts": self.settings.parts,
            "renditions": [rendition.name for rendition in self.settings.renditions],
            "encoder": self.encoder,
            # Said only where it is so: who knows of no privacy takes public takes as before, and no others.
            **({"private": True} if self.settings.private else {}),
        }

    @classmethod
    def from_json(cls, obj: object) -> TakeHeader:
        """From the wire form. Raises BadRequest."""
        fields = _object(obj, {"epoch_us", "channels", "parts", "renditions", "encoder"}, {"private"})
        names = fields["renditions"]
        encoder = fields["encoder"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadRequest("renditions: a list of names such as 64k")
        if not isinstance(encoder, str) or not 0 < len(encoder) <= MAX_ENCODER:
            raise BadRequest(f"encoder: a fingerprint of 1 to {MAX_ENCODER} characters")
        return cls(
            epoch_us=_check_int("epoch_us", fields["epoch_us"], 0, MAX_EPOCH_US),
            settings=TakeSettings(
                channels=fields["channels"],
                parts=fields["parts"],
                renditions=tuple(Rendition(name) for name in names),
                private=read_private(fields),
            ),
            encoder=encoder,
        )


def read_private(obj: Mapping[str, object]) -> bool:
    """Whether a take is private, as its documents say: `"private": true`, or nothing. Raises BadRequest."""
    private = obj.get("private", False)
    # What is neither is not taken for public.
    if not isinstance(private, bool):
        raise BadRequest("private: true or false")
    return private


PublishedKind = Literal["chapter", "speakers"]
"""What origins are told, and playlists tell."""
EventKind = Literal[PublishedKind, "join", "leave", "start", "stop", "mute", "unmute"]
PUBLISHED_KINDS: Final = frozenset(get_args(PublishedKind))


@dataclass(frozen=True, slots=True)
class TakeEvent:
    """Something that happened at a sample.

    `n` tells events of one sample apart. A `chapter` has a `title`; `speakers` of the kind of that name are
    all who speak from here on. All other kinds are about one speaker, `speakers[0]`: connected and gone,
    voice heard and not any more, muted and unmuted by a host.
    """

    sample: int
    n: int
    kind: EventKind
    title: str = ""
    speakers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`{sample}-{n}`, as in the URL."""
        return f"{self.sample}-{self.n}"

    def to_json(self) -> dict[str, object]:
        """The wire form (sample and n are in the URL)."""
        if self.kind == "chapter":
            return {"kind": "chapter", "title": self.title}
        return {"kind": self.kind, "speakers": [*self.speakers]}

    @classmethod
    def from_json(cls, event_id: str, obj: object) -> TakeEvent:
        """From the URL's `{sample}-{n}` and the body, of what origins are told. Raises BadRequest."""
        match = _EVENT_ID.fullmatch(event_id)
        if not match:
            raise BadRequest("an event is named {sample}-{n}")
        sample, n = int(match[1]), int(match[2])
        kind = obj.get("kind") if isinstance(obj, dict) else None
        if kind == "chapter":
            return cls(sample, n, "chapter", title=_title(_object(obj, {"kind", "title"})["title"]))
        if kind == "speakers":
            return cls(sample, n, "speakers", speakers=_names(_object(obj, {"kind", "speakers"})["speakers"]))
        raise BadRequest("kind: chapter or speakers")


def check_event(event: TakeEvent) -> TakeEvent:
    """Return `event` if its numbers and texts are such as can be told to anybody. Raises BadRequest."""
    _check_int("sample", event.sample, 0, MAX_SAMPLES)
    _check_int("n", event.n, 0, _MAX_EVENTS_OF_A_SAMPLE - 1)
    if event.kind == "chapter":
        _title(event.title)
    _names([*event.speakers])
    return event


def _title(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TITLE or not _is_unicode(value):
        raise BadRequest(f"title: a text of 1 to {MAX_TITLE} Unicode characters")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_SPEAKERS_IN_EVENT:
        raise BadRequest(f"speakers: a list of at most {MAX_SPEAKERS_IN_EVENT} names")
    if not all(
        isinstance(name, str) and 0 < len(name) <= MAX_SPEAKER_NAME and _is_unicode(name) for name in value
    ):
        raise BadRequest(f"speakers: each a name of 1 to {MAX_SPEAKER_NAME} characters")
    return tuple(value)


def _is_unicode(text: str) -> bool:
    """Whether `text` is without half a surrogate pair, which JSON can spell and UTF-8 cannot."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _object(obj: object, keys: set[str], more: AbstractSet[str] = frozenset()) -> dict[str, Any]:
    """A JSON object with all of `keys`, and any of `more`. Raises BadRequest."""
    if not isinstance(obj, dict):
        raise BadRequest("a JSON object is wanted")
    if set(obj) - more != keys:
        wrong = min(keys.symmetric_difference(set(obj) - more), key=str)
        raise BadRequest(f"{wrong!s:.40}: {'missing' if wrong in keys else 'not known here'}")
    return obj


def _check_int(name: str, value: object, low: int, high: int) -> int:
    # bool is an int to Python, but `true` is no number to JSON.
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadRequest(f"{name}: a whole number from {low} to {high}")
    return value
