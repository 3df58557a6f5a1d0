"""Takes in a storage: spoken, archived and told of, as a worker leaves them to whoever finishes them."""

from __future__ import annotations

from functools import cache

import numpy as np

from contracts.take import Rendition, TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.boxes import init_segment
from pipeline.package import EncodedSegment, cut, encode
from storage.documents import to_bytes
from storage.names import INIT, STORY, fragment_name, fragment_of, open_name, take_object
from storage.objects import Objects
from storage.take_record import Ending, take_record
from tests.audio import RATE, beeps
from tests.takes import EPOCH_US

SECONDS = 6.5
SAMPLES = round(SECONDS * RATE)
SETTINGS = TakeSettings(1, 5, (Rendition("32k"), Rendition("64k")))
HEADER = TakeHeader(EPOCH_US, SETTINGS, "0" * 64)
CHAPTERS = ((0, "Welcome"), (2 * RATE, "News & views"))


def key_of(n: int, room: str = "room") -> TakeKey:
    """The room's n-th take."""
    return TakeKey(room, f"20260101T00{n // 60:02}{n % 60:02}Z-aaaaaa")


def archive(objects: Objects, key: TakeKey, *, published: bool = True, story: bool = True) -> None:
    """What is there when a take is over: 6.5 s of beeps with two chapters, in a room called "Friday"."""
    objects.put_new(open_name(key), to_bytes(HEADER.to_json()))
    for rendition in SETTINGS.renditions:
        objects.put_new(take_object(key, f"{rendition.name}/{INIT}"), init_segment(SETTINGS, rendition))
    fragments: dict[tuple[str, int], list[bytes]] = {}
    for segment in _encoded():
        fragments.setdefault((segment.rendition, fragment_of(segment.msn)), []).append(segment.data)
    for (rendition_name, msn), segments in fragments.items():
        objects.put_new(fragment_name(key, rendition_name, msn), b"".join(segments))
    if story:
        events = [
            TakeEvent(0, 0, "join", speakers=("Ada",)),
            *(TakeEvent(sample, 1, "chapter", title=title) for sample, title in CHAPTERS),
        ]
        told = take_record(key, HEADER, SAMPLES, events, Ending(None, "Friday", published))
        objects.put_new(take_object(key, STORY), to_bytes(told.to_json()))


@cache
def _encoded() -> tuple[EncodedSegment, ...]:
    pcm = np.asarray(beeps(SECONDS))[:SAMPLES].reshape(-1, 1)
    return tuple(segment for piece in cut([pcm], 1, None) for segment in encode(piece, SETTINGS))
