"""A podcast feed's XML: exact, well formed whatever people write, and what directories ask for."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from uuid import UUID

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from origin.feed import Episode, OnAir, Show, podcast_guid, render_feed
from origin.feed_text import clock, episode_html, one_line, paragraphs, xml_text
from storage.meta import Chapter
from storage.podcast import Podcast
from tests.feeds import ROOM, SECOND, SHOW, TAKE, entry
from tests.takes import EPOCH_US

NAMESPACES = {
    "atom": "http://www.w3.org/2005/Atom",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
    "podcast": "https://podcastindex.org/namespace/1.0",
}
REPLAY = f"https://example.net/replay/{ROOM}/{TAKE}"
ON_AIR = OnAir(entry().key, EPOCH_US)
HOSTILE = [
    "<script>alert(1)</script> & \"quotes\" 'here'",
    "]]> <![CDATA[ ]]>",
    "tab\tline\nend\r\nand\x0bmore",
    "nul\x00 bell\x07 escape\x1b[31m delete\x7f next\x85line c1\x9b",
    "half \ud83d of a pair, and \udc00 the other",
    "😀 👨‍👩‍👧 \U0010ffff \ufffe \uffff \ufeff",
    "&amp; &#0; &#x1F600; &nbsp;",
    "\u202eright to left\u202c \u2028 separators \u2029",
    "x" * 1024,
    "é" * 1024,
    "]]>" * 341,
    "word " * 204,
    " ",
    "\x00",
    "",
]


def read(xml: bytes) -> etree._Element:
    channel = etree.fromstring(xml).find("channel")
    assert channel is not None
    return channel


def texts(channel: etree._Element, path: str) -> list[str | None]:
    return [found.text for found in channel.findall(path, NAMESPACES)]


def attributes(channel: etree._Element, path: str) -> list[dict[str, str]]:
    return [dict(found.attrib) for found in channel.findall(path, NAMESPACES)]  # type: ignore[arg-type]


def one_item(*episodes: Episode, show: Show = SHOW) -> etree._Element:
    item = read(render_feed(show, episodes)).find("item")
    assert item is not None
    return item


# ---- exact -----------------------------------------------------------------------------------------------


def test_a_feed_byte_by_byte() -> None:
    chapters = (Chapter(0, "Welcome"), Chapter(600 * SECOND, "Questions & answers"))
    show = replace(SHOW, podcast=Podcast(category="News > Politics", email="host@example.net"))
    feed = render_feed(show, [Episode(entry("Budget <2026>", chapters=2), chapters)], ON_AIR)
    assert (
        feed.decode()
        == f"""\
<?xml version='1.0' encoding='UTF-8'?>
<rss xmlns:atom="http://www.w3.org/2005/Atom" xmlns:content="http://purl.org/rss/1.0/modules/content/" \
xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" \
xmlns:podcast="https://podcastindex.org/namespace/1.0" version="2.0">
  <channel>
    <atom:link href="https://example.net/feeds/town-hall.xml" rel="self" type="application/rss+xml"/>
    <title>Town hall</title>
    <link>https://example.net/listen/town-hall</link>
    <description>Town hall: what was said, to hear again.</description>
    <language>en</language>
    <generator>Longwave</generator>
    <image>
      <url>https://example.net/assets/cover.png</url>
      <title>Town hall</title>
      <link>https://example.net/listen/town-hall</link>
    </image>
    <itunes:image href="https://example.net/assets/cover.png"/>
    <itunes:author>Town hall</itunes:author>
    <itunes:category text="News">
      <itunes:category text="Politics"/>
    </itunes:category>
    <itunes:explicit>false</itunes:explicit>
    <itunes:type>episodic</itunes:type>
    <itunes:owner>
      <itunes:name>Town hall</itunes:name>
      <itunes:email>host@example.net</itunes:email>
    </itunes:owner>
    <podcast:guid>2c35dedb-816d-5723-8d1a-de282f0a03fc</podcast:guid>
    <podcast:medium>podcast</podcast:medium>
    <podcast:locked owner="host@example.net">yes</podcast:locked>
    <pubDate>Thu, 01 Jan 2026 00:12:34 GMT</pubDate>
    <lastBuildDate>Thu, 01 Jan 2026 00:12:34 GMT</lastBuildDate>
    <item>
      <title>Budget &lt;2026&gt;</title>
      <link>{REPLAY}</link>
      <guid isPermaLink="false">{TAKE}</guid>
      <pubDate>Thu, 01 Jan 2026 00:12:34 GMT</pubDate>
      <enclosure url="{REPLAY}.m4a" length="6032000" type="audio/x-m4a"/>
      <description><![CDATA[<p>With Ada, Bob</p><ul><li>0:00 Welcome</li>\
<li>10:00 Questions &amp; answers</li></ul>]]></description>
      <itunes:duration>754</itunes:duration>
      <itunes:explicit>false</itunes:explicit>
      <itunes:episodeType>full</itunes:episodeType>
      <itunes:image href="https://example.net/assets/cover.png"/>
      <podcast:chapters url="{REPLAY}/chapters.json" type="application/json+chapters"/>
      <podcast:person>Ada</podcast:person>
      <podcast:person>Bob</podcast:person>
      <podcast:alternateEnclosure type="application/vnd.apple.mpegurl" codecs="mp4a.40.2" title="HLS">
        <podcast:source uri="{REPLAY}/index.m3u8"/>
      </podcast:alternateEnclosure>
    </item>
    <podcast:liveItem status="live" start="2026-01-01T00:00:00+00:00">
      <title>Town hall</title>
      <link>https://example.net/listen/town-hall</link>
      <guid isPermaLink="false">{TAKE}-live</guid>
      <pubDate>Thu, 01 Jan 2026 00:00:00 GMT</pubDate>
      <enclosure url="https://example.net/live/town-hall/index.m3u8" length="0" \
type="application/vnd.apple.mpegurl"/>
      <itunes:explicit>false</itunes:explicit>
      <itunes:image href="https://example.net/assets/cover.png"/>
      <podcast:alternateEnclosure type="application/vnd.apple.mpegurl" codecs="mp4a.40.2" title="HLS" \
default="true">
        <podcast:source uri="https://example.net/live/town-hall/index.m3u8"/>
      </podcast:alternateEnclosure>
      <podcast:contentLink href="https://example.net/listen/town-hall">Listen live</podcast:contentLink>
    </podcast:liveItem>
  </channel>
</rss>
"""
    )


def test_a_feed_without_episodes_has_no_dates_and_is_whole() -> None:
    channel = read(render_feed(SHOW, []))
    assert texts(channel, "title") == ["Town hall"]
    assert channel.find("item") is channel.find("pubDate") is channel.find("lastBuildDate") is None


def test_episodes_stay_in_their_order_and_the_feed_is_as_old_as_the_newest() -> None:
    channel = read(render_feed(SHOW, [Episode(entry(later=2)), Episode(entry(later=1)), Episode(entry())]))
    assert texts(channel, "item/guid") == [entry(later=day).key.take for day in (2, 1, 0)]
    assert texts(channel, "lastBuildDate") == ["Sat, 03 Jan 2026 00:12:34 GMT"]


def test_a_host_says_otherwise() -> None:
    podcast = Podcast(
        description="Every week.\r\nWith <guests> & more.",
        author="The council",
        language="pt-BR",
        category="Technology",
        image="https://images.example.net/a.jpg",
        explicit=True,
        locked=False,
        guid="917393e3-1b1e-5cef-ace4-edaa54e1f810",
    )
    channel = read(render_feed(replace(SHOW, podcast=podcast), [Episode(entry())]))
    assert texts(channel, "description") == ["Every week.\nWith <guests> & more."]
    assert texts(channel, "itunes:author") == ["The council"]
    assert texts(channel, "language") == ["pt-BR"]
    assert attributes(channel, ".//itunes:category") == [{"text": "Technology"}]
    assert attributes(channel, ".//itunes:image") == [{"href": podcast.image}] * 2
    assert texts(channel, "image/url") == [podcast.image]
    assert texts(channel, ".//itunes:explicit") == ["true", "true"]
    assert texts(channel, "podcast:locked") == ["no"]
    assert texts(channel, "podcast:guid") == [podcast.guid]
    # Without an address to write to there is no owner, and nobody whom a new platform could ask.
    assert channel.find("itunes:owner", NAMESPACES) is None
    assert attributes(channel, "podcast:locked") == [{}]


def test_an_unlisted_room_stays_out_of_directories() -> None:
    blocks = ("itunes:block", "podcast:block")
    listed, unlisted = (read(render_feed(replace(SHOW, listed=listed), [])) for listed in (True, False))
    assert [texts(listed, block) for block in blocks] == [[], []]
    assert [texts(unlisted, block) for block in blocks] == [["Yes"], ["yes"]]


def test_a_room_without_a_title_is_called_by_its_id() -> None:
    channel = read(render_feed(Show(ROOM, "", "https://example.net"), [], ON_AIR))
    assert texts(channel, "title") == texts(channel, "podcast:liveItem/title") == [ROOM]


@pytest.mark.parametrize(
    ("feed", "guid"),
    [
        # The two examples of the podcast namespace's page on guid.
        ("https://mp3s.nashownotes.com/pc20rss.xml", "917393e3-1b1e-5cef-ace4-edaa54e1f810"),
        ("https://podnews.net/rss", "9b024349-ccf0-5f69-a609-6b82873eab3c"),
        ("http://podnews.net/rss//", "9b024349-ccf0-5f69-a609-6b82873eab3c"),
    ],
)
def test_the_guid_is_that_of_the_podcast_namespace(feed: str, guid: str) -> None:
    assert podcast_guid(feed) == guid
    assert UUID(guid).version == 5


# ---- what directories ask for ----------------------------------------------------------------------------


def test_apples_tags_are_there() -> None:
    channel = read(render_feed(SHOW, [Episode(entry())]))
    required = ("title", "description", "itunes:image", "language", "itunes:category", "itunes:explicit")
    for tag in (*required, "itunes:author", "link", "itunes:type"):
        assert len(channel.findall(tag, NAMESPACES)) == 1, tag
    item = one_item(Episode(entry()))
    wanted = ("title", "enclosure", "guid", "pubDate", "description")
    for tag in (*wanted, "itunes:duration", "link", "itunes:explicit", "itunes:image"):
        assert len(item.findall(tag, NAMESPACES)) == 1, tag
    (enclosure,) = attributes(item, "enclosure")
    assert enclosure["url"].endswith(".m4a")
    # The only type that Apple names for an .m4a.
    assert enclosure["type"] == "audio/x-m4a"


def test_values_are_as_long_as_apple_takes_them() -> None:
    long = "word " * 300
    show = replace(SHOW, title=long, podcast=Podcast(description="é" * 1999 + "…x"))
    channel = read(render_feed(show, [Episode(entry(long, speakers=(long,)))]))
    for path in ("title", "itunes:author", "item/title", "item/podcast:person"):
        (value,) = texts(channel, path)
        assert value is not None
        assert 200 < len(value) <= 255
        assert re.fullmatch("(word )+word…", value)
    (description,) = texts(channel, "description")
    assert description is not None
    assert description == "é" * 1999
    assert len(description.encode()) <= 4000


def test_a_title_that_is_cut_is_whole_in_the_description() -> None:
    title = "ab & cd " * 60
    (description,) = texts(one_item(Episode(entry(title, speakers=()))), "description")
    assert description == f"<p>{'ab &amp; cd ' * 59}ab &amp; cd</p>"


def test_many_chapters_fill_the_description_by_whole_lines_and_all_are_in_the_content() -> None:
    chapters = tuple(Chapter(each * 60 * SECOND, f"Chapter {each} & more é") for each in range(200))
    item = one_item(Episode(entry(chapters=200), chapters))
    (short,), (whole,) = texts(item, "description"), texts(item, "content:encoded")
    assert short is not None
    assert whole is not None
    assert 3900 < len(short.encode()) <= 4000
    assert short.removesuffix("</ul>").endswith(" &amp; more é</li>")
    assert whole.startswith(short.removesuffix("</ul>"))
    assert whole.count("<li>") == 200


def test_a_short_description_is_not_said_twice() -> None:
    assert one_item(Episode(entry())).find("content:encoded", NAMESPACES) is None


def test_an_episode_of_which_nothing_is_known_has_no_description() -> None:
    assert one_item(Episode(entry(speakers=()))).find("description") is None


def test_chapters_are_linked_where_there_are_any() -> None:
    assert one_item(Episode(entry())).find("podcast:chapters", NAMESPACES) is None
    # Also where they could not be told: who follows the link may be luckier.
    assert one_item(Episode(entry(chapters=3))).find("podcast:chapters", NAMESPACES) is not None


def test_a_crowd_of_speakers_is_cut() -> None:
    crowd = tuple(f"Speaker {number}" for number in range(1000))
    item = one_item(Episode(entry(speakers=crowd)))
    assert len(item.findall("podcast:person", NAMESPACES)) == 50
    assert len((texts(item, "description")[0] or "").encode()) <= 4000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.99, "0:59"), (245, "4:05"), (3600, "1:00:00"), (36_245, "10:04:05")],
)
def test_places_are_told_as_a_clock_shows_them(seconds: float, text: str) -> None:
    assert clock(int(seconds * SECOND)) == text


def test_the_shortest_take_lasts_a_second() -> None:
    assert texts(one_item(Episode(replace(entry(), samples=1))), "itunes:duration") == ["1"]


# ---- whatever people write -------------------------------------------------------------------------------


def everywhere(text: str) -> bytes:
    """A feed in which everything that people name is called `text`."""
    show = replace(SHOW, title=text, podcast=Podcast(description=text, author=text))
    episode = Episode(entry(text, speakers=(text, "Ada"), chapters=1), (Chapter(0, text),))
    return render_feed(show, [episode], ON_AIR)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(text: str) -> None:
    xml = everywhere(text)
    channel = read(xml)
    shown = one_line(text)
    assert texts(channel, "item/title") == [shown or TAKE]
    assert texts(channel, "title") == [shown or ROOM]
    assert texts(channel, "item/podcast:person") == ([shown, "Ada"] if shown else ["Ada"])
    # The description is HTML that holds nothing but what we put there.
    (description,) = texts(channel, "item/description")
    html = etree.HTML(f"<div>{description}</div>".encode(), etree.HTMLParser(encoding="utf-8"))
    assert {element.tag for element in html.iter()} <= {"html", "body", "div", "p", "ul", "li"}
    assert feedparser.parse(io.BytesIO(xml))["bozo"] is False


@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_makes_a_well_formed_feed(text: str) -> None:
    channel = read(everywhere(text))
    assert texts(channel, "item/title") == [one_line(text) or TAKE]
    assert texts(channel, "itunes:author") == [one_line(text) or ROOM]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\x00b\x1bc\x7fd\x9be", "abcde"),
        ("\ud83d\ude00", "😀"),
        ("a\ud83db", "a\ufffdb"),
        ("a\ufffeb\uffffc", "abc"),
        ("ä\t\n\r😀", "ä\t\n\r😀"),
    ],
)
def test_what_xml_cannot_hold_is_left_out(text: str, safe: str) -> None:
    assert xml_text(text) == safe


def test_lines_are_joined_and_cut_between_words() -> None:
    assert one_line(" a\nb\t\x0b c\u2028d ") == "a b c d"
    assert one_line("one two three", 13) == "one two three"
    assert one_line("one two three four", 16) == "one two three…"
    assert one_line("one two three", 12) == "one two thr…"
    assert one_line("onetwothreefour", 12) == "onetwothree…"
    assert paragraphs("  a\r\nb\rc \x00\n") == "a\nb\nc"


def test_html_without_a_limit_is_whole() -> None:
    names = tuple(f"Speaker {number}" for number in range(1000))
    assert episode_html("", names, ()) == f"<p>With {', '.join(names)}</p>"


# ---- a reader that knows nothing of us -------------------------------------------------------------------


def test_feedparser_finds_everything() -> None:
    chapters = (Chapter(0, "Welcome"),)
    parsed = feedparser.parse(
        io.BytesIO(render_feed(SHOW, [Episode(entry("Bäckerei", chapters=1), chapters)], ON_AIR))
    )
    assert not parsed.bozo
    assert parsed.version == "rss20"
    # It does not know live items and takes theirs for the show's: nothing that people read may change by it.
    assert (parsed.feed.title, parsed.feed.link) == ("Town hall", "https://example.net/listen/town-hall")
    assert parsed.feed.image.href == "https://example.net/assets/cover.png"
    assert parsed.feed.language == "en"
    (item,) = parsed.entries
    assert (item.title, item.id, item.guidislink) == ("Bäckerei", TAKE, False)
    (enclosure,) = item.enclosures
    assert (enclosure.href, enclosure.length, enclosure.type) == (f"{REPLAY}.m4a", "6032000", "audio/x-m4a")
    assert item.itunes_duration == "754"
    assert tuple(item.published_parsed)[:6] == (2026, 1, 1, 0, 12, 34)
    assert item.podcast_chapters == {"url": f"{REPLAY}/chapters.json", "type": "application/json+chapters"}
