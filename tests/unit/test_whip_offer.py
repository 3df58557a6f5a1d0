"""Offers of browsers and encoders are read, answered line for line, or refused before anything is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadRequest, LongwaveError, UnprocessableOffer
from workers.whip.answer import Local, write_answer
from workers.whip.candidates import Credentials
from workers.whip.offer import read_offer

PRINT = ":".join(["AB"] * 32)
SESSION = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0"]
TRANSPORT = [
    "a=ice-ufrag:EsAw",
    "a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y",
    f"a=fingerprint:sha-256 {PRINT}",
    "a=setup:actpass",
]
AUDIO = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0",
    "c=IN IP4 0.0.0.0",
    *TRANSPORT,
    "a=mid:0",
    "a=sendonly",
    "a=rtcp-mux",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:63 red/48000/2",
    "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host generation 0",
]
VIDEO = ["m=video 9 UDP/TLS/RTP/SAVPF 96 97", "a=mid:1", "a=sendonly", "a=rtcp-mux", "a=rtpmap:96 VP8/90000"]
LOCAL = Local(
    7, Credentials("abcd", "x" * 22), "sha-256 AA:BB", ("1 1 udp 2130706431 127.0.0.1 40000 typ host",)
)


def sdp(*lines: str) -> str:
    return "\r\n".join(lines) + "\r\n"


def swapped(old: str, new: str | None) -> str:
    """The good offer with every line `old` replaced, or left out."""
    lines = [new if line == old else line for line in [*SESSION, *AUDIO]]
    assert old in [*SESSION, *AUDIO]
    return sdp(*(line for line in lines if line is not None))


def test_a_browsers_offer_gives_what_a_connection_needs() -> None:
    offer = read_offer(sdp(*SESSION, *AUDIO))
    assert (offer.audio, offer.payload_type, offer.bundled) == (0, 111, True)
    assert offer.credentials == Credentials("EsAw", "bP+XJMM09aR8AiX1jdukzR6Y")
    assert offer.fingerprints == (("sha-256", PRINT),)
    assert [(one.address, one.port) for one in offer.candidates] == [("192.0.2.1", 61764)]


def test_the_answer_receives_the_voice_and_nothing_else() -> None:
    offer = read_offer(sdp(*SESSION, *AUDIO))
    assert write_answer(offer, LOCAL, 1) == sdp(
        "v=0",
        "o=- 7 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=recvonly",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1;stereo=0;sprop-stereo=0;maxaveragebitrate=48000",
        "a=ice-ufrag:abcd",
        f"a=ice-pwd:{'x' * 22}",
        "a=ice-options:trickle",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host",
        "a=end-of-candidates",
        "a=fingerprint:sha-256 AA:BB",
        "a=setup:passive",
    )


def test_a_stereo_take_asks_for_stereo() -> None:
    answer = write_answer(read_offer(sdp(*SESSION, *AUDIO)), LOCAL, 2)
    assert "stereo=1;sprop-stereo=1;maxaveragebitrate=96000" in answer


def test_pictures_are_turned_down_in_their_place_and_leave_the_bundle() -> None:
    session = [*SESSION[:-1], "a=group:BUNDLE 0 1"]
    answer = write_answer(read_offer(sdp(*session, *VIDEO, *AUDIO)), LOCAL, 1)
    lines = answer.splitlines()
    assert [line for line in lines if line.startswith("m=")] == [
        "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    ]
    assert "a=group:BUNDLE 0" in lines
    assert lines[lines.index("a=mid:1") + 1] == "a=inactive"


def test_a_second_microphone_is_turned_down() -> None:
    second = [line.replace("a=mid:0", "a=mid:1") for line in AUDIO]
    answer = write_answer(read_offer(sdp(*SESSION, *AUDIO, *second)), LOCAL, 1)
    assert "m=audio 0 UDP/TLS/RTP/SAVPF 111 63 0" in answer


def test_what_stands_for_the_whole_session_counts_for_its_audio() -> None:
    bare = [line for line in AUDIO if line not in TRANSPORT]
    offer = read_offer(sdp(*SESSION, *TRANSPORT, *bare))
    assert offer.credentials.ufrag == "EsAw"
    assert offer.fingerprints == (("sha-256", PRINT),)


def test_bundled_audio_takes_the_transport_of_the_bundle() -> None:
    session = [*SESSION[:-1], "a=group:BUNDLE 1 0"]
    bare = [line for line in AUDIO if line not in TRANSPORT]
    assert read_offer(sdp(*session, *VIDEO, *TRANSPORT, *bare)).credentials.ufrag == "EsAw"


def test_pictures_that_carry_the_bundle_stay_in_it_idle() -> None:
    session = [*SESSION[:-1], "a=group:BUNDLE 1 0"]
    answer = write_answer(read_offer(sdp(*session, *VIDEO, *TRANSPORT, *AUDIO)), LOCAL, 1)
    video = answer.partition("m=video ")[2].partition("m=audio")[0].splitlines()
    assert "a=group:BUNDLE 1 0" in answer
    assert video[0] == "9 UDP/TLS/RTP/SAVPF 96"
    assert {"a=inactive", "a=rtpmap:96 VP8/90000", "a=ice-ufrag:abcd", "a=setup:passive"} <= set(video)


@pytest.mark.parametrize(
    ("fmtp", "dtx"),
    [("usedtx=1;minptime=10", True), ("minptime=10; usedtx=1", True), ("minptime=10;usedtx=0", False)],
)
def test_silence_may_be_left_out_where_the_sender_likes_to(fmtp: str, dtx: bool) -> None:
    offer = read_offer(swapped("a=fmtp:111 minptime=10;useinbandfec=1", f"a=fmtp:111 {fmtp}"))
    assert (";usedtx=1\r\n" in write_answer(offer, LOCAL, 1)) == dtx


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("actpass", "passive"), ("active", "passive"), ("passive", "active")],
)
def test_who_begins_the_handshake_is_agreed_upon(offered: str, answered: str) -> None:
    offer = read_offer(swapped("a=setup:actpass", f"a=setup:{offered}"))
    assert offer.waits == (offered == "passive")
    assert f"a=setup:{answered}" in write_answer(offer, LOCAL, 1).splitlines()


@pytest.mark.parametrize("direction", ["a=sendrecv", None])
def test_who_offers_both_directions_is_received(direction: str | None) -> None:
    assert "a=recvonly" in write_answer(read_offer(swapped("a=sendonly", direction)), LOCAL, 1)


def test_reduced_size_rtcp_is_agreed_to() -> None:
    assert "a=rtcp-rsize" in write_answer(read_offer(sdp(*SESSION, *AUDIO, "a=rtcp-rsize")), LOCAL, 1)


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        (sdp(*SESSION), "no audio"),
        (sdp(*SESSION, *VIDEO), "no audio"),
        (swapped(AUDIO[0], "m=audio 0 UDP/TLS/RTP/SAVPF 111"), "no audio"),
        (swapped("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 PCMU/8000"), "no opus"),
        (swapped(AUDIO[0], "m=audio 9 UDP/TLS/RTP/SAVPF 63 0"), "no opus"),
        (swapped("a=sendonly", "a=recvonly"), "recvonly"),
        (swapped("a=sendonly", "a=inactive"), "inactive"),
        (swapped("a=rtcp-mux", None), "rtcp-mux"),
        (swapped("a=setup:actpass", "a=setup:holdconn"), "holdconn"),
        (swapped("a=ice-ufrag:EsAw", None), "ice-ufrag"),
        (swapped("a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y", None), "ice-pwd"),
        (swapped(f"a=fingerprint:sha-256 {PRINT}", "a=fingerprint:sha-1 AB:AB"), "fingerprint"),
        (swapped(AUDIO[0], "m=audio 9 RTP/AVP 111"), "RTP/AVP"),
        (sdp(*SESSION, *AUDIO, *(VIDEO * 49)), "8 m-lines"),
        (
            sdp(
                *SESSION,
                *AUDIO,
                *(f"a=candidate:{n} 1 udp 1 10.0.{n // 250}.{n % 250} 9 typ host" for n in range(1000)),
            ),
            "100 candidates",
        ),
    ],
)
def test_what_cannot_be_received_is_refused_with_the_reason(offer: str, words: str) -> None:
    with pytest.raises(UnprocessableOffer, match=words):
        read_offer(offer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "hello",
        '{"type": "offer", "sdp": "v=0"}',
        sdp(*SESSION[1:], *AUDIO),
        sdp(*SESSION, "m=audio"),
        sdp(*SESSION, "m=audio nine UDP/TLS/RTP/SAVPF 111"),
        sdp(*SESSION, "m=au\x00dio 9 UDP/TLS/RTP/SAVPF 111"),
        swapped("a=mid:0", "a=mid:0 \x0b1"),
        swapped("a=ice-ufrag:EsAw", "a=ice-ufrag:E"),
        swapped("a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y", "a=ice-pwd:short"),
    ],
)
def test_what_is_no_sdp_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        read_offer(text)


@given(st.data())
def test_no_offer_adds_a_line_to_the_answer(data: st.DataObject) -> None:
    lines = [*SESSION, *AUDIO, *VIDEO]
    wild = st.text(st.characters(codec="utf-8"), max_size=30)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        keep = data.draw(st.integers(0, len(lines[at])))
        lines[at] = lines[at][:keep] + data.draw(wild)
    try:
        offer = read_offer(sdp(*lines))
    except LongwaveError:
        return
    answer = write_answer(offer, LOCAL, 1)
    assert answer.count("\n") == answer.count("\r\n") == len(answer.splitlines())
    assert sum(line.startswith("m=") for line in answer.splitlines()) == len(offer.media)
