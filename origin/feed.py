"""A room's podcast feed: values in, XML out. Pure, and the same bytes for the same values.

RSS 2.0 (rssboard.org/rss-specification) with three namespaces: Apple's `itunes` (its required and recommended
tags), `podcast` (Podcasting 2.0: github.com/Podcastindex-org/podcast-namespace) and `atom` for the feed's own
address. No clock is read: a feed is as old as its newest episode, so it changes when what it says does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid5

from lxml import etree
from lxml.etree import CDATA, Element, SubElement

from contracts.listen import listen_token
from contracts.take import TakeKey
from origin.feed_text import (
    MAX_DESCRIPTION,
    episode_html,
    iso_8601,
    one_line,
    paragraphs,
    rfc_2822,
    xml_text,
)
from origin.representation import PLAYLIST_TYPE
from pipeline.grid import SAMPLE_RATE
from storage.entry import ReplayEntry
from storage.meta import Chapter
from storage.podcast import Podcast
from storage.podcast_categories import split_category

FEED_TYPE: Final = "application/rss+xml"
# Apple's list of enclosure types has this one for an .m4a, and not audio/mp4, which the file is served as.
_M4A_TYPE: Final = "audio/x-m4a"
_CHAPTERS_TYPE: Final = "application/json+chapters"
_CODECS: Final = "mp4a.40.2"
# Where a podcast:guid comes from (the podcast namespace, "guid").
_PODCAST_UUID: Final = UUID("ead4c236-bf58-58c6-a2c6-a6b28d128cb6")
MAX_EPISODES: Final = 300
"""Episodes that a feed holds, the newest: what directories read of it."""
MAX_CHAPTERS: Final = 200
"""Chapters of an episode that its description has room for; `podcast:chapters` leads to all of them."""
# Nobody reads more names, and a town hall may have hundreds.
_MAX_PERSONS: Final = 50
_NAMESPACES: Final = {
    "atom": "http://www.w3.org/2005/Atom",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
    "podcast": "https://podcastindex.org/namespace/1.0",
}


@dataclass(frozen=True, slots=True)
class Show:
    """A room as a feed shows it. `base` is what its addresses begin with: `https://example.net`.

    `prefix` is that of signed paths, `/p/TOKEN`, where the feed is for those who were let in.
    """

    room: str
    title: str
    base: str
    podcast: Podcast = field(default_factory=Podcast)
    listed: bool = True
    prefix: str = ""

    @property
    def name(self) -> str:
        """What the show is called: its title, or the room's id."""
        return one_line(self.title) or self.room

    @property
    def feed_url(self) -> str:
        """The feed's own address."""
        return f"{self.media}/feeds/{self.room}.xml"

    @property
    def media(self) -> str:
        """What the addresses of all that is heard begin with."""
        return self.base + self.prefix

    @property
    def guid(self) -> str:
        """Who this podcast is: the same for everybody, whatever token they come with."""
        return self.podcast.guid or podcast_guid(f"{self.base}/feeds/{self.room}.xml")

    def page(self, path: str = "") -> str:
        """Where people find the room, or what has a page at `path`. A page is told the token by itself."""
        fragment = f"#listen={listen_token(self.prefix)}" if self.prefix else ""
        return f"{self.base}{path or f'/listen/{self.room}'}{fragment}"

    @property
    def image(self) -> str:
        """The artwork's address."""
        return self.podcast.image or f"{self.base}/assets/cover.png"


@dataclass(frozen=True, slots=True)
class Episode:
    """A published replay, with its chapters in the order of time."""

    entry: ReplayEntry
    chapters: tuple[Chapter, ...] = ()


@dataclass(frozen=True, slots=True)
class OnAir:
    """A take that is live now."""

    key: TakeKey
    epoch_us: int


def podcast_guid(feed_url: str) -> str:
    """The `podcast:guid` of a feed: a UUIDv5 of its address without scheme and slashes at the end."""
    return str(uuid5(_PODCAST_UUID, feed_url.partition("://")[2].rstrip("/")))


def render_feed(show: Show, episodes: Iterable[Episode], on_air: OnAir | None = None) -> bytes:
    """The feed. `episodes` are the newest first."""
    rss = Element("rss", {"version": "2.0"}, nsmap=_NAMESPACES)
    channel = SubElement(rss, "channel")
    listed = tuple(episodes)
    _describe_show(channel, show)
    if listed:
        newest = rfc_2822(max(map(_published_us, listed)))
        _add(channel, "pubDate", newest)
        _add(channel, "lastBuildDate", newest)
    for episode in listed:
        _add_episode(channel, show, episode)
    if on_air is not None:
        _add_live(channel, show, on_air)
    return etree.tostring(rss, xml_declaration=True, encoding="UTF-8", pretty_print=True)


# ---- the show ----------------------------------------------------------------------------------------------


def _describe_show(channel: etree._Element, show: Show) -> None:
    podcast, name = show.podcast, show.name
    author = one_line(podcast.author) or name
    _add(channel, "atom:link", href=show.feed_url, rel="self", type=FEED_TYPE)
    _add(channel, "title", name)
    _add(channel, "link", show.page())
    _add(channel, "description", paragraphs(podcast.description) or f"{name}: what was said, to hear again.")
    _add(channel, "language", podcast.language)
    _add(channel, "generator", "Longwave")
    image = _add(channel, "image")
    _add(image, "url", show.image)
    _add(image, "title", name)
    _add(image, "link", show.page())
    _add(channel, "itunes:image", href=show.image)
    _add(channel, "itunes:author", author)
    category, subcategory = split_category(podcast.category)
    outer = _add(channel, "itunes:category", text=category)
    if subcategory:
        _add(outer, "itunes:category", text=subcategory)
    _add(channel, "itunes:explicit", _truth(podcast.explicit))
    _add(channel, "itunes:type", "episodic")
    if podcast.email:
        owner = _add(channel, "itunes:owner")
        _add(owner, "itunes:name", author)
        _add(owner, "itunes:email", podcast.email)
    _describe_to_hosts(channel, show)


def _describe_to_hosts(channel: etree._Element, show: Show) -> None:
    """Who this podcast is, and what other platforms may do with it."""
    podcast = show.podcast
    _add(channel, "podcast:guid", show.guid)
    _add(channel, "podcast:medium", "podcast")
    owner = {"owner": podcast.email} if podcast.email else {}
    _add(channel, "podcast:locked", "yes" if podcast.locked else "no", **owner)
    if not show.listed:
        _add(channel, "itunes:block", "Yes")
        _add(channel, "podcast:block", "yes")


# ---- its episodes ------------------------------------------------------------------------------------------


def _add_episode(channel: etree._Element, show: Show, episode: Episode) -> None:
    entry = episode.entry
    path = f"/replay/{entry.key.room}/{entry.key.take}"
    replay = show.media + path
    item = _add(channel, "item")
    title = one_line(entry.title) or entry.key.take
    _add(item, "title", title)
    _add(item, "link", show.page(path))
    _add(item, "guid", entry.key.take, isPermaLink="false")
    _add(item, "pubDate", rfc_2822(_published_us(episode)))
    _add(item, "enclosure", url=f"{replay}.m4a", length=str(entry.size), type=_M4A_TYPE)
    _describe_episode(item, episode, title)
    _add(item, "itunes:duration", str(max(1, round(entry.samples / SAMPLE_RATE))))
    _add(item, "itunes:explicit", _truth(show.podcast.explicit))
    _add(item, "itunes:episodeType", "full")
    _add(item, "itunes:image", href=show.image)
    if entry.chapters:
        _add(item, "podcast:chapters", url=f"{replay}/chapters.json", type=_CHAPTERS_TYPE)
    for name in entry.speakers[:_MAX_PERSONS]:
        _add_person(item, name)
    _add_hls(item, f"{replay}/index.m3u8")


def _describe_episode(item: etree._Element, episode: Episode, title: str) -> None:
    """The description as far as Apple takes it; the whole, where that is more, as `content:encoded`."""
    speakers = episode.entry.speakers
    uncut = one_line(episode.entry.title, MAX_DESCRIPTION)
    missing = "" if uncut == title else uncut
    whole = episode_html(missing, speakers, episode.chapters)
    short = episode_html(missing, speakers, episode.chapters, MAX_DESCRIPTION)
    if not whole:
        return
    # Every > of a title is escaped in it, so that no ]]> ends the section before its end.
    _add(item, "description").text = CDATA(short)
    if short != whole:
        _add(item, "content:encoded").text = CDATA(whole)


def _add_live(channel: etree._Element, show: Show, on_air: OnAir) -> None:
    """`podcast:liveItem`, with a guid of its own: else an app takes the episode for one that was heard.

    Readers that do not know it take what is in it for the show's: so it is called and linked as the show is.
    """
    playlist = f"{show.media}/live/{show.room}/index.m3u8"
    live = _add(channel, "podcast:liveItem", status="live", start=iso_8601(on_air.epoch_us))
    _add(live, "title", show.name)
    _add(live, "link", show.page())
    _add(live, "guid", f"{on_air.key.take}-live", isPermaLink="false")
    _add(live, "pubDate", rfc_2822(on_air.epoch_us))
    # The RSS board's word for a length that nobody knows is 0.
    _add(live, "enclosure", url=playlist, length="0", type=PLAYLIST_TYPE)
    _add(live, "itunes:explicit", _truth(show.podcast.explicit))
    _add(live, "itunes:image", href=show.image)
    _add_hls(live, playlist, default="true")
    _add(live, "podcast:contentLink", "Listen live", href=show.page())


def _add_person(item: etree._Element, name: str) -> None:
    person = one_line(name)
    if person:
        _add(item, "podcast:person", person)


def _add_hls(item: etree._Element, playlist: str, **more: str) -> None:
    enclosure = _add(
        item, "podcast:alternateEnclosure", type=PLAYLIST_TYPE, codecs=_CODECS, title="HLS", **more
    )
    _add(enclosure, "podcast:source", uri=playlist)


def _published_us(episode: Episode) -> int:
    """When an episode came out, in microseconds since 1970: its take's end."""
    entry = episode.entry
    return entry.epoch_us + entry.samples * 1_000_000 // SAMPLE_RATE


# ---- XML ---------------------------------------------------------------------------------------------------


def _add(parent: etree._Element, name: str, content: str = "", **attributes: str) -> etree._Element:
    """A child element; `prefix:name` is in the namespace of that prefix."""
    prefix, _, local = name.rpartition(":")
    tag = f"{{{_NAMESPACES[prefix]}}}{local}" if prefix else local
    child = SubElement(parent, tag, {key: xml_text(value) for key, value in attributes.items()})
    if content:
        child.text = xml_text(content)
    return child


def _truth(value: bool) -> str:  # noqa: FBT001 - it is the value
    return "true" if value else "false"
