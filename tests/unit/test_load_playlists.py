"""What simulated listeners read of playlists, when they read them again, and where."""

import gzip

import pytest

from contracts.position import Position
from longwave.load import playlists
from longwave.load.base import Base
from longwave.load.http_client import Answer
from longwave.load.lane import Request
from longwave.load.playlists import MediaPlaylist, Place, PlaylistCache, Variants, parse
from longwave.load.reloading import Reload, blocking_path, next_reload
from longwave.load.tally import Tally
from longwave.load.tiers import Standing
from longwave.load.whereabouts import Whereabouts
from pipeline.grid import Grid
from pipeline.playlist import Skip
from tests.takes import EPOCH_US, play, window

HERE = Base("http", "127.0.0.1", 8080)
EDGE = Base("http", "127.0.0.1", 8081)
PATH = b"/live/room/take/64k/index.m3u8"


def media(stop: tuple[int, int], *, parts: int = 5, skip: Skip = Skip.NO, end: bool = False) -> MediaPlaylist:
    take = window(parts=parts)
    play(take, (0, 0), stop)
    if end:
        take.end(Grid(parts).start_sample(Position(*stop)))
    found = parse(HERE, PATH, take.media_playlist("64k", skip=skip))
    assert isinstance(found, MediaPlaylist)
    return found


def test_a_live_playlist_is_read_as_it_was_meant() -> None:
    found = media((10, 3))
    assert (found.target, found.hold_back) == (2.0, 6.0)
    assert found.part_target == pytest.approx(0.40533)
    assert found.part_hold_back == pytest.approx(1.216)
    assert (found.blocks, found.ended, found.skip_until) == (True, False, 12.0)
    assert found.init == Place(b"/live/room/take/64k/init.mp4")
    assert [piece.msn for piece in found.segments] == list(range(10))
    assert found.pieces[-1].key == (10, 2)
    assert found.pieces[-1].place == Place(b"/live/room/take/64k/10.2.m4s")
    assert found.next == (10, 3)
    assert found.hint == ((10, 3), Place(b"/live/room/take/64k/10.3.m4s"))


def test_dates_are_where_the_grid_says() -> None:
    grid, found = Grid(5), media((10, 3))
    epoch = EPOCH_US / 1e6
    for piece in (*found.segments, *found.pieces):
        assert piece.date == pytest.approx(
            epoch + grid.start_sample(Position(*piece.key)) / 48_000, abs=0.002
        ), piece
    assert found.edge_date == pytest.approx(epoch + grid.start_sample(Position(10, 3)) / 48_000, abs=0.002)


def test_one_date_is_enough_until_a_discontinuity() -> None:
    body = '#EXT-X-PART:DURATION=1,URI="{0}.0"\n#EXT-X-PART:DURATION=1,URI="{0}.1"\n#EXTINF:2,\n{0}\n'
    text = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=1\n#EXTINF:2,\nundated\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:10Z\n"
        f"{body.format('a')}{body.format('b')}"
        "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T01:00:00Z\n"
        f"{body.format('c')}"
    )
    found = parse(HERE, PATH, text)
    assert isinstance(found, MediaPlaylist)
    start = EPOCH_US / 1e6
    assert [piece.date for piece in found.segments] == [None, start + 10, start + 12, start + 3600]
    assert [piece.date for piece in found.pieces][-3:] == [start + 13, start + 3600, start + 3601]


def test_a_delta_update_keeps_its_numbers() -> None:
    found = media((30, 2), skip=Skip.YES)
    assert found.segments[0].msn > 0
    assert found.segments[-1].msn == 29
    assert found.segments[-1].place.path.endswith(b"/29.m4s")
    assert found.next == (30, 2)


@pytest.mark.parametrize(
    ("stop", "low_latency", "behind"), [((10, 0), False, 6.0), ((10, 3), False, 6.0), ((10, 3), True, 1.216)]
)
def test_listeners_begin_as_far_behind_the_edge_as_they_are_told(
    stop: tuple[int, int], low_latency: bool, behind: float
) -> None:
    found = media(stop)
    index, into = found.start(low_latency=low_latency)
    pieces = found.pieces if low_latency else found.segments
    ahead = sum(piece.seconds for piece in pieces[index:]) - into
    assert ahead == pytest.approx(behind)
    assert 0 <= into < pieces[index].seconds


def test_listeners_begin_a_short_take_at_its_start_and_an_ended_one_too() -> None:
    assert media((1, 0)).start(low_latency=False) == (0, 0.0)
    ended = media((20, 0), end=True)
    assert ended.ended
    assert ended.start(low_latency=False) == (0, 0.0)


def test_what_comes_after_a_place_is_what_was_not_had_before() -> None:
    found = media((10, 3))
    assert [piece.key for piece in found.after((10, 1), low_latency=True)] == [(10, 1), (10, 2)]
    assert [piece.key for piece in found.after((9, 5), low_latency=True)] == [(10, 0), (10, 1), (10, 2)]
    assert [piece.key for piece in found.after((8, 0), low_latency=False)] == [(8, 0), (9, 0)]
    assert found.after((10, 0), low_latency=False) == ()


def test_a_gap_and_files_of_another_server_are_seen() -> None:
    text = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n"
        "#EXTINF:2,\nhttp://127.0.0.1:8081/a/7.m4s\n#EXT-X-GAP\n#EXTINF:2,\n../8.m4s?x=1\n"
    )
    found = parse(HERE, PATH, text)
    assert isinstance(found, MediaPlaylist)
    assert [piece.place for piece in found.segments] == [
        Place(b"/a/7.m4s", EDGE),
        Place(b"/live/room/take/8.m4s?x=1"),
    ]
    assert [piece.gap for piece in found.segments] == [False, True]
    assert found.hold_back == 6.0
    assert (found.blocks, found.hint, found.part_target, found.edge_date) == (False, None, None, None)


def test_the_first_variant_is_what_players_begin_with() -> None:
    text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=70000\nt/64k/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=9\nb\n"
    assert parse(HERE, b"/live/room/index.m3u8", text) == Variants(
        Place(b"/live/room/t/64k/index.m3u8"), 70_000
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "#EXTM3U\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:x\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:two,\n1.m4s\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nftp://host/1.m4s\n",
    ],
)
def test_what_is_no_playlist_is_nothing(text: str) -> None:
    assert parse(HERE, PATH, text) is None


def answer(text: str, etag: str = "", *, zipped: bool = False) -> Answer:
    head = "HTTP/1.1 200 OK\r\n" + (f"ETag: {etag}\r\n" if etag else "")
    body = text.encode()
    if zipped:
        head, body = head + "Content-Encoding: gzip\r\n", gzip.compress(body)
    return Answer(200, head.encode(), len(body), body)


def test_each_body_is_parsed_once_however_it_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []

    def parsing(base: Base, path: bytes, text: str) -> playlists.Playlist | None:
        parsed.append(text)
        return parse(base, path, text)

    monkeypatch.setattr(playlists, "parse", parsing)
    cache, text = PlaylistCache(), "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.m4s\n"
    first = cache.read(HERE, PATH, answer(text, '"a"'))
    assert first is not None
    assert cache.read(HERE, PATH, answer(text, '"a"', zipped=True)) is first
    assert len(parsed) == 1
    assert cache.read(HERE, PATH, answer(text, '"b"', zipped=True)) == first
    assert cache.read(HERE, PATH, answer(text)) is cache.read(HERE, PATH, answer(text))
    assert len(parsed) == 3
    assert cache.read(HERE, b"/other", answer(text, '"a"')) is not first
    broken = answer(text, zipped=True)
    assert cache.read(HERE, PATH, broken._replace(body=broken.body[4:])) is None


# ---- reloads ----------------------------------------------------------------------------------------------


def asked(*, waits: bool = False, intended: float = 100.0) -> Request:
    return Request("playlist", HERE, PATH, intended, waits=waits)


@pytest.mark.parametrize(
    ("changed", "now", "due"),
    [
        (True, 100.2, 102.0),
        (False, 100.2, 101.0),
        # An answer that came late: at once, and not for each of those that were missed.
        (True, 107.0, 107.0),
    ],
)
def test_plain_reloads_count_from_when_the_load_before_was_meant_to_begin(
    changed: bool, now: float, due: float
) -> None:
    found = next_reload(media((10, 0)), asked(), now, changed=changed, low_latency=False)
    assert found == Reload(due, blocking=False)


@pytest.mark.parametrize(
    ("waits", "changed", "due"), [(True, True, 100.2), (False, False, 100.2), (True, False, 101.2)]
)
def test_blocking_reloads_follow_at_once_unless_nothing_was_new(
    waits: bool, changed: bool, due: float
) -> None:
    found = next_reload(media((10, 0)), asked(waits=waits), 100.2, changed=changed, low_latency=True)
    assert found == Reload(due, blocking=True)


def test_nobody_reloads_what_has_ended() -> None:
    ended = media((10, 0), end=True)
    assert next_reload(ended, asked(), 100.0, changed=True, low_latency=True) is None


def test_a_blocking_reload_names_what_comes_next_in_the_order_of_cache_keys() -> None:
    found = media((10, 3))
    assert blocking_path(PATH, found, 1.0) == PATH + b"?_HLS_msn=10&_HLS_part=3&_HLS_skip=YES"
    # Half of CAN-SKIP-UNTIL later an update might lack something.
    assert blocking_path(PATH, found, 6.0) == PATH + b"?_HLS_msn=10&_HLS_part=3"
    assert blocking_path(b"/x?y=1", found, 9.0) == b"/x?y=1&_HLS_msn=10&_HLS_part=3"


# ---- moves ------------------------------------------------------------------------------------------------


def standing(tier: str, *bases: tuple[Base, bytes], private: bool = False) -> Standing:
    return Standing(tier, bases or ((HERE, b""),), b"/live/room/index.m3u8", private, 10.0)


def listening(tally: Tally, token: bytes = b"") -> Whereabouts:
    made = Whereabouts((HERE, b""), token, tally, lambda servers: servers[-1] if servers else None)
    made.follow(PATH)
    return made


def test_a_listener_moves_with_its_playlist_as_it_is() -> None:
    tally = Tally()
    where = listening(tally, b"/p/t")
    where.told(standing("origin", private=True), b"/p/t", 0.0)
    assert (where.base, where.path) == (HERE, b"/p/t" + PATH)
    where.told(standing("edge", (EDGE, b"/audio"), private=True), b"/p/u", 10.0)
    assert (where.base, where.path) == (EDGE, b"/audio/p/u" + PATH)
    where.renewed(b"/p/v")
    assert where.path == b"/audio/p/v" + PATH
    assert tally.under("move") == {"origin>edge": 1}
    assert tally.counts["flaps"] == 0


def test_who_is_in_the_right_place_stays_there() -> None:
    where = listening(Tally())
    both = ((EDGE, b""), (HERE, b""))
    where.told(standing("edge", *both), b"", 0.0)
    assert where.base == HERE
    where.told(standing("edge", *reversed(both)), b"", 10.0)
    assert where.base == HERE
    where.elsewhere()
    assert where.base == EDGE


@pytest.mark.parametrize(("back", "flaps"), [(59.0, 1), (61.0, 0)])
def test_back_at_once_is_a_flap_and_back_later_a_move(back: float, flaps: int) -> None:
    tally = Tally()
    where = listening(tally)
    where.told(standing("origin"), b"", 0.0)
    where.told(standing("edge"), b"", 10.0)
    where.told(standing("origin"), b"", 10.0 + back)
    assert tally.under("move") == {"edge>origin": 1, "origin>edge": 1}
    assert tally.counts["flaps"] == flaps


def test_a_variant_is_followed_where_its_playlist_says() -> None:
    where = listening(Tally(), b"/p/t")
    where.follow_variant(Place(b"/p/t/live/room/take/64k/index.m3u8"))
    where.renewed(b"/p/u")
    assert where.path == b"/p/u/live/room/take/64k/index.m3u8"
    where.follow_variant(Place(b"/elsewhere.m3u8", EDGE))
    assert (where.base, where.path) == (EDGE, b"/elsewhere.m3u8")


def test_where_no_server_may_be_loaded_one_stays_and_it_is_counted() -> None:
    tally = Tally()
    where = Whereabouts((HERE, b""), b"", tally, lambda _: None)
    where.told(standing("cdn", (Base("https", "cdn.example.net", 443), b"")), b"", 0.0)
    assert where.base == HERE
    assert tally.under("error") == {"listen.not allowed": 1}


def test_what_a_room_says_of_tiers_is_read_or_refused() -> None:
    said = (
        b'{"tier": "edge", "bases": ["", "http://127.0.0.1:8081/audio/"], "playlist": "/p", "ask_again": 10}'
    )
    assert Standing.read(HERE, said) == Standing(
        "edge", ((HERE, b""), (EDGE, b"/audio")), b"/p", private=False, ask_again=10.0
    )
    for wrong in (
        b"",
        b"[]",
        b'{"tier": "edge"}',
        said.replace(b"http:", b"ftp:"),
        said.replace(b"10", b'"x"'),
    ):
        assert Standing.read(HERE, wrong) is None
