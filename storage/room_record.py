"""Room records: what a room is called and how its next take is encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final, Literal, get_args

from contracts.errors import BadRequest
from contracts.ids import MAX_TITLE
from contracts.take import Rendition, TakeSettings
from storage.documents import from_bytes, to_bytes
from storage.podcast import Podcast

Visibility = Literal["public", "unlisted", "private"]
"""Who finds the room: everybody; who knows its name; who was let in by a host (`contracts.listen`)."""
_VISIBILITIES: Final = get_args(Visibility)
RoomSound = Literal["auto", "voice", "as-is"]
"""Who is filtered and levelled: microphones (WHIP, WebSocket) but no programme (PUT); all; nobody."""
SOUNDS: Final = get_args(RoomSound)
Replays = Literal["published", "unpublished"]
"""What a new replay of the room is at first."""
REPLAYS: Final = get_args(Replays)
_ETAG_DIGITS: Final = 32
_KEYS: Final = ("title", "renditions", "channels", "parts", "visibility", "sound", "replays", "podcast")


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """A room as its host wants it. The settings are for the next take; a live take keeps its own.

    `sound` is for speakers who connect from now on, `replays` for takes that end from now on, `podcast` for
    the feed at once. `etag` names the version that is stored (the content's digest), empty where none is.
    """

    title: str = ""
    settings: TakeSettings = field(default_factory=TakeSettings)
    visibility: Visibility = "public"
    sound: RoomSound = "auto"
    replays: Replays = "published"
    podcast: Podcast = field(default_factory=Podcast)
    etag: str = field(default="", compare=False)

    @property
    def private(self) -> bool:
        """Whether its next take, and its feed, are for those alone who were let in."""
        return self.visibility == "private"

    @property
    def take_settings(self) -> TakeSettings:
        """What is frozen when its next take starts."""
        return replace(self.settings, private=self.private)

    def to_json(self) -> dict[str, object]:
        """The wire form, and the file's."""
        return {
            "title": self.title,
            "renditions": [rendition.name for rendition in self.settings.renditions],
            "channels": self.settings.channels,
            "parts": self.settings.parts,
            "visibility": self.visibility,
            "sound": self.sound,
            "replays": self.replays,
            "podcast": self.podcast.to_json(),
        }

    def to_bytes(self) -> bytes:
        """The document that is stored."""
        return to_bytes(self.to_json())

    @classmethod
    def from_bytes(cls, name: str, data: bytes) -> RoomRecord:
        """A document that was stored under `name`. Raises ObjectDamaged, which names it."""
        return replace(from_bytes(name, data, cls.from_json), etag=etag_of(data))

    @classmethod
    def from_json(cls, obj: object) -> RoomRecord:
        """From the wire form; what is left out has its default. Raises BadRequest that names the key."""
        if not isinstance(obj, dict):
            raise BadRequest(f"a JSON object is wanted, with any of {', '.join(_KEYS)}")
        for key in obj:
            if key not in _KEYS:
                raise BadRequest(f"{key!s:.40}: not known here; a room has {', '.join(_KEYS)}")
        visibility = obj.get("visibility", "public")
        if visibility not in _VISIBILITIES:
            raise BadRequest(f"visibility: {', '.join(_VISIBILITIES)}")
        sound = obj.get("sound", "auto")
        if sound not in SOUNDS:
            raise BadRequest(f"sound: {', '.join(SOUNDS)}")
        replays = obj.get("replays", "published")
        if replays not in REPLAYS:
            raise BadRequest(f"replays: {' or '.join(REPLAYS)}")
        podcast = Podcast.from_json(obj.get("podcast", {}))
        return cls(_title(obj), _settings(obj), visibility, sound, replays, podcast)


def etag_of(data: bytes) -> str:
    """What HTTP calls this version of a record: the same on every node, whatever storage holds it."""
    return sha256(data).hexdigest()[:_ETAG_DIGITS]


def _title(obj: Mapping[str, object]) -> str:
    title = obj.get("title", "")
    if not isinstance(title, str) or len(title) > MAX_TITLE:
        raise BadRequest(f"title: a text of at most {MAX_TITLE} characters")
    try:
        title.encode()
    except UnicodeEncodeError:  # JSON can spell half a surrogate pair
        raise BadRequest("title: not valid Unicode") from None
    return title


def _settings(obj: Mapping[str, object]) -> TakeSettings:
    names = obj.get("renditions", ["64k"])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest("renditions: a list of names such as 64k")
    # TakeSettings checks the numbers, whatever type they have.
    return TakeSettings(
        channels=obj.get("channels", 1),  # type: ignore[arg-type]
        parts=obj.get("parts", 5),  # type: ignore[arg-type]
        renditions=tuple(Rendition(name) for name in names),
    )
