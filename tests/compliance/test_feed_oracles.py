"""Feeds, read by a program that knows Podcasting 2.0 and nothing of us: feedsmith."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from origin.feed import Episode, OnAir, render_feed
from storage.meta import Chapter
from storage.podcast import Podcast
from tests import programs
from tests.feeds import ROOM, SHOW, TAKE, entry
from tests.takes import EPOCH_US

pytestmark = pytest.mark.needs("node", "feedsmith")
REPLAY = f"https://example.net/replay/{ROOM}/{TAKE}"
HLS = "application/vnd.apple.mpegurl"


def understood(feed: bytes) -> dict[str, Any]:
    """What feedsmith makes of a feed. Fails on its complaint."""
    script = Path(__file__).parent / "read_feed.cjs"
    done = subprocess.run(
        [programs.path("node"), script, programs.path("feedsmith")],
        input=json.dumps([feed.decode()]),
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=30,
    )
    (answer,) = json.loads(done.stdout)
    assert "error" not in answer, answer
    found: dict[str, Any] = answer["feed"]
    return found


def test_an_episode_is_understood() -> None:
    podcast = Podcast(category="Arts > Books", email="host@example.net", explicit=True)
    show = replace(SHOW, podcast=podcast, listed=False)
    episode = Episode(entry("A & <b>", speakers=("Ada", "B]]>"), chapters=1), (Chapter(0, "Q & A"),))
    feed = understood(render_feed(show, [episode]))

    assert feed["atom"]["links"] == [
        {"href": "https://example.net/feeds/town-hall.xml", "rel": "self", "type": "application/rss+xml"}
    ]
    assert feed["itunes"] == {
        "image": "https://example.net/assets/cover.png",
        "categories": [{"text": "Arts", "categories": [{"text": "Books"}]}],
        "explicit": True,
        "author": "Town hall",
        "type": "episodic",
        "block": True,
        "owner": {"name": "Town hall", "email": "host@example.net"},
    }
    assert feed["podcast"] == {
        "locked": {"value": True, "owner": "host@example.net"},
        "guid": "2c35dedb-816d-5723-8d1a-de282f0a03fc",
        "medium": "podcast",
        "blocks": [{"value": True}],
    }
    (item,) = feed["items"]
    assert item["title"] == "A & <b>"
    assert item["guid"] == {"value": TAKE, "isPermaLink": False}
    assert item["enclosures"] == [{"url": f"{REPLAY}.m4a", "length": 6_032_000, "type": "audio/x-m4a"}]
    assert item["description"] == "<p>With Ada, B]]&gt;</p><ul><li>0:00 Q &amp; A</li></ul>"
    assert item["itunes"]["duration"] == 754
    assert item["podcast"] == {
        "chapters": {"url": f"{REPLAY}/chapters.json", "type": "application/json+chapters"},
        "persons": [{"display": "Ada"}, {"display": "B]]>"}],
        "alternateEnclosures": [
            {
                "type": HLS,
                "title": "HLS",
                "codecs": "mp4a.40.2",
                "sources": [{"uri": f"{REPLAY}/index.m3u8"}],
            }
        ],
    }


def test_a_live_item_is_understood_and_no_episode() -> None:
    feed = understood(render_feed(SHOW, [], OnAir(entry().key, EPOCH_US)))
    assert "items" not in feed
    assert feed["title"] == "Town hall"
    (live,) = feed["podcast"]["liveItems"]
    assert (live["status"], live["start"]) == ("live", "2026-01-01T00:00:00+00:00")
    (enclosure,) = live["alternateEnclosures"]
    assert (enclosure["type"], enclosure["default"]) == (HLS, True)
    assert enclosure["sources"] == [{"uri": "https://example.net/live/town-hall/index.m3u8"}]
    assert live["contentLinks"] == [
        {"href": "https://example.net/listen/town-hall", "display": "Listen live"}
    ]
