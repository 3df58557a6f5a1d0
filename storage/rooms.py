"""Room records: what a room is called and how its next take is encoded. `DATA/rooms/{room}/room.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

import structlog

from contracts.errors import BadRequest, DiskUnavailable, LongwaveError
from contracts.ids import MAX_TITLE
from contracts.take import Rendition, TakeSettings
from storage.files import disk_errors, read_if_there, sync_directory, write_atomic
from storage.podcast import Podcast

log = structlog.get_logger()

Visibility = Literal["public", "unlisted"]
_VISIBILITIES: Final = get_args(Visibility)
RoomSound = Literal["auto", "voice", "as-is"]
"""Who is filtered and levelled: microphones (WHIP, WebSocket) but no programme (PUT); all; nobody."""
SOUNDS: Final = get_args(RoomSound)
Replays = Literal["published", "unpublished"]
"""What a new replay of the room is at first."""
REPLAYS: Final = get_args(Replays)
_KEYS: Final = ("title", "renditions", "channels", "parts", "visibility", "sound", "replays", "podcast")


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """A room as its host wants it. The settings are for the next take; a live take keeps its own.

    `sound` is for speakers who connect from now on, `replays` for takes that end from now on, `podcast` for
    the feed at once.
    """

    title: str = ""
    settings: TakeSettings = field(default_factory=TakeSettings)
    visibility: Visibility = "public"
    sound: RoomSound = "auto"
    replays: Replays = "published"
    podcast: Podcast = field(default_factory=Podcast)

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
            raise BadRequest(f"visibility: {' or '.join(_VISIBILITIES)}")
        sound = obj.get("sound", "auto")
        if sound not in SOUNDS:
            raise BadRequest(f"sound: {', '.join(SOUNDS)}")
        replays = obj.get("replays", "published")
        if replays not in REPLAYS:
            raise BadRequest(f"replays: {' or '.join(REPLAYS)}")
        podcast = Podcast.from_json(obj.get("podcast", {}))
        return cls(_title(obj), _settings(obj), visibility, sound, replays, podcast)


class RoomStore:
    """The rooms of one data directory, read once and then kept in memory.

    Blocking, but for `known`: call it from a thread.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, RoomRecord] = {}

    def load(self) -> None:
        """Read every room; one that cannot be read is logged and left out."""
        for path in sorted(self._root.glob("*/room.json")):
            try:
                self.get(path.parent.name)
            except DiskUnavailable as error:
                log.warning("a room cannot be read", reason=error.message)

    def known(self, room: str) -> RoomRecord | None:
        """The record of `room` if it is in memory; never waits for a disk."""
        return self._known.get(room)

    def get(self, room: str) -> RoomRecord | None:
        """The record of `room`, None where nobody made one. Raises DiskUnavailable, also on a broken file."""
        if room not in self._known:
            data = read_if_there(self._path(room))
            # Rooms that were never made are not remembered: their names come from anybody's requests.
            if data is None:
                return None
            self._known[room] = _parse(self._path(room), data)
        return self._known[room]

    def put(self, room: str, record: RoomRecord) -> bool:
        """Keep `record`, durably; True where the room is new. Raises DiskUnavailable."""
        new = room not in self._known and read_if_there(self._path(room)) is None
        write_atomic(self._path(room), json.dumps(record.to_json(), ensure_ascii=False).encode() + b"\n")
        self._known[room] = record
        return new

    def delete(self, room: str) -> bool:
        """Forget `room`; False where there was none. Raises DiskUnavailable."""
        path = self._path(room)
        with disk_errors(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            finally:
                self._known.pop(room, None)
            sync_directory(path.parent)
        return True

    def _path(self, room: str) -> Path:
        return self._root / room / "room.json"


def _parse(path: Path, data: bytes) -> RoomRecord:
    try:
        return RoomRecord.from_json(json.loads(data))
    except (ValueError, RecursionError, LongwaveError) as error:
        raise DiskUnavailable(f"{path}: not a room record ({error}); put the room again") from None


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
