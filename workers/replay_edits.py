"""What a host says is to be changed of a replay: JSON in, a change of `meta.json` out. Pure.

The form is a JSON merge patch (RFC 7396) of what the host has said so far: what is left out stays, `null`
takes a title or chapters of the host's own away again, so that those of the take hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

from contracts.errors import BadRequest
from contracts.ids import check_title
from pipeline.grid import SAMPLE_RATE
from storage.meta import Chapter, TakeMeta

MAX_CHAPTERS: Final = 1000
_KEYS: Final = ("title", "chapters", "published")

Change = Callable[[TakeMeta], TakeMeta]


def parse_edit(body: object, samples: int) -> Change | None:
    """What `body` changes of a replay that is `samples` long; None where it changes nothing.

    Raises BadRequest that names the key.
    """
    if not isinstance(body, dict):
        raise BadRequest(f"a JSON object is wanted, with any of {', '.join(_KEYS)}")
    changes = {key: _value(key, value, samples) for key, value in body.items()}
    if not changes:
        return None
    return lambda meta: replace(meta, **changes)


def _value(key: object, value: object, samples: int) -> Any:  # noqa: ANN401 - as the fields of TakeMeta are
    match key:
        case "title":
            return "" if value is None else _title("title", value)
        case "chapters":
            return None if value is None else _chapters(value, samples)
        case "published":
            if not isinstance(value, bool):
                raise BadRequest("published: true or false")
            return value
        case _:
            raise BadRequest(f"{_shown(key)}: not known here; a replay has {', '.join(_KEYS)}")


def _chapters(value: object, samples: int) -> tuple[Chapter, ...]:
    """Chapters in any order, none twice at one sample, as they are stored: in the order of time."""
    if not isinstance(value, list) or len(value) > MAX_CHAPTERS:
        raise BadRequest(f"chapters: null, or a list of at most {MAX_CHAPTERS}")
    chapters: dict[int, Chapter] = {}
    for index, each in enumerate(value):
        name = f"chapters[{index}]"
        chapter = _chapter(name, each, samples)
        if chapter.sample in chapters:
            raise BadRequest(f"{name}: another chapter begins at sample {chapter.sample} already")
        chapters[chapter.sample] = chapter
    return tuple(chapters[sample] for sample in sorted(chapters))


def _chapter(name: str, value: object, samples: int) -> Chapter:
    form = f'{name}: {{"title": …}} with either "sample" or "seconds"'
    if not isinstance(value, dict):
        raise BadRequest(form)
    for key in value:
        if key not in {"title", "sample", "seconds"}:
            raise BadRequest(f"{name}.{_shown(key)}: not known here")
    if "title" not in value or ("sample" in value) == ("seconds" in value):
        raise BadRequest(form)
    unit = "sample" if "sample" in value else "seconds"
    sample = _sample(f"{name}.{unit}", unit, value[unit])
    if not 0 <= sample < samples:
        raise BadRequest(f"{name}.{unit}: within the replay, from 0 up to {_length(unit, samples)}")
    return Chapter(sample, _title(f"{name}.title", value["title"]))


def _sample(name: str, unit: str, value: object) -> int:
    """The sample that is meant. `true` and `NaN`, which JSON or Python take for numbers, are none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if unit == "sample" else value * SAMPLE_RATE
    if unit == "seconds" and isinstance(value, float) and math.isfinite(value):
        return round(value * SAMPLE_RATE) if abs(value) < 1e12 else -1
    raise BadRequest(f"{name}: {'a whole number' if unit == 'sample' else 'a number'}")


def _length(unit: str, samples: int) -> str:
    return str(samples) if unit == "sample" else f"{samples / SAMPLE_RATE:.3f}"


def _title(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{name}: a text")
    try:
        return check_title(value)
    except BadRequest as error:
        raise BadRequest(f"{name}: {error.message}") from None


def _shown(key: object) -> str:
    return cast("str", key)[:40]
