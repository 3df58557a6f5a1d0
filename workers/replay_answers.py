"""What hosts and operators are told of replays, as JSON. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.take import TakeKey
from pipeline.grid import SAMPLE_RATE
from storage.entry import ReplayEntry
from storage.meta import Chapter
from workers.archive.kept import KeptTake, Listed, State, began

_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def row_of(take: Listed) -> dict[str, object]:
    """A replay in a list."""
    if take.entry is None:
        return {**_head(take.key, take.state), "started_at": _instant(began(take.key))}
    return {**_head(take.key, take.state), **_entry(take.entry)}


def replay_of(kept: KeptTake) -> dict[str, object]:
    """One replay: `title` and `chapters` as listeners see them, those of the host alone under `own`."""
    key, meta = kept.key, kept.meta
    told = _head(key, kept.state)
    if kept.commit is None:
        return {**told, "started_at": _instant(began(key))}
    story = kept.commit.story
    if kept.entry is not None:
        told["bytes"] = kept.entry.size
    return {
        **told,
        "title": meta.shown_title(story),
        "published": meta.published,
        "started_at": _instant(story.started_at),
        "samples": story.samples,
        "seconds": _seconds(story.samples),
        "speakers": [speaker.name for speaker in story.speakers],
        "private": story.header.settings.private,
        "missing_seconds": _seconds(sum(gap.span[1] - gap.span[0] for gap in kept.commit.gaps)),
        "chapters": [_chapter(chapter) for chapter in meta.shown_chapters(story)],
        "own": {
            "title": meta.title or None,
            "chapters": None if meta.chapters is None else [_chapter(each) for each in meta.chapters],
        },
    }


def _entry(entry: ReplayEntry) -> dict[str, object]:
    return {
        "title": entry.title,
        "published": entry.published,
        "started_at": _instant(_UNIX_EPOCH + timedelta(microseconds=entry.epoch_us)),
        "samples": entry.samples,
        "seconds": _seconds(entry.samples),
        "speakers": [*entry.speakers],
        "chapters": entry.chapters,
        "private": entry.private,
        "bytes": entry.size,
    }


def _head(key: TakeKey, state: State) -> dict[str, object]:
    path = f"/replay/{key.room}/{key.take}"
    return {"room": key.room, "take": key.take, "state": state, "page": path, "m4a": f"{path}.m4a"}


def _chapter(chapter: Chapter) -> dict[str, object]:
    return {"sample": chapter.sample, "seconds": _seconds(chapter.sample), "title": chapter.title}


def _seconds(samples: int) -> float:
    return round(samples / SAMPLE_RATE, 5)


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
