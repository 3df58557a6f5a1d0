"""Numbers that wrap, leap and start anew, pauses, clocks that differ, and garbage: a voice goes on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.voice import playout
from pipeline.voice.opus import BadOpus, OpusDecoder
from pipeline.voice.packet import VoicePacket
from pipeline.voice.receiver import VoiceReceiver
from tests.audio import best_lag, speechlike
from tests.opus import opus_packets
from tests.voices import CODEC_DELAY, MS, SECOND, Heard, Network, Sent, changed, hear, leaping, spoken

GARBAGE = b"\x7b\x00" + b"x" * 40
"""A packet of no frames (RFC 6716 3.2.5: at least one)."""
TONE = np.sin(2 * np.pi * 200 * np.arange(10 * SECOND) / SECOND) * 6_000
TONE_PACKETS = opus_packets(TONE.astype(np.int16))
SPEECH = speechlike(10 * SECOND, seed=1)
PACKET = 20 * MS
CLEAN_DELAY = 30 * MS
WAY = 240
LEAP = 5 * SECOND


def largest_step(heard: Heard) -> float:
    """The largest step between neighbouring samples."""
    return float(np.abs(np.diff(heard.sound[:, 0])).max())


TONE_STEP = largest_step(hear(Network().carry(spoken(TONE_PACKETS)), until=12 * SECOND))


@pytest.mark.parametrize(
    "numbers",
    [
        {"timestamp": 2**31},
        {"timestamp": -1_000_000},
        {"timestamp": 5 * SECOND},
        {"timestamp": 300 * MS},
        {"timestamp": -300 * MS},
        {"sequence": 30_000},
        {"sequence": 2_000},
        {"sequence": -50},
        {"sequence": -30_000},
        {"sequence": 12_345, "timestamp": 1_000_000_000},
        {"ssrc": 1},
        {"ssrc": 1, "sequence": -1_000, "timestamp": -123_456_789},
    ],
    ids=str,
)
def test_numbers_that_leap_are_survived_at_once(numbers: dict[str, int]) -> None:
    sent = changed(spoken(TONE_PACKETS), LEAP, leaping(**numbers))
    heard = hear(Network(delay=WAY).carry(sent), until=12 * SECOND)
    assert not heard.silent_between(2 * SECOND, 11 * SECOND).any()
    assert heard.delay_between(LEAP + 100 * MS, 11 * SECOND).max() <= CLEAN_DELAY + 6 * MS
    assert heard.stats.late == heard.stats.skipped == 0
    assert heard.stats.concealed <= 20 * MS
    assert largest_step(heard) <= 1.2 * TONE_STEP


@pytest.mark.parametrize(("sequence", "timestamp"), [(65_535, 2**32 - 960), (65_500, 2**32 - 48_000)])
def test_numbers_that_wrap_are_no_leap(sequence: int, timestamp: int) -> None:
    plain = hear(Network().carry(spoken(TONE_PACKETS, sequence=7, timestamp=7)), until=12 * SECOND)
    heard = hear(
        Network().carry(spoken(TONE_PACKETS, sequence=sequence, timestamp=timestamp)), until=12 * SECOND
    )
    assert np.array_equal(heard.sound, plain.sound)
    assert heard.stats == plain.stats
    assert heard.stats.jumps == heard.stats.lost == 0


def test_another_source_is_decoded_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(OpusDecoder):
        def __init__(self, channels: int) -> None:
            made.append(channels)
            super().__init__(channels)

    monkeypatch.setattr(playout, "OpusDecoder", Counted)
    sent = changed(spoken(TONE_PACKETS), LEAP, leaping(timestamp=2**31))
    hear(Network().carry(changed(sent, LEAP + SECOND, leaping(ssrc=5))), until=9 * SECOND)
    assert made == [1, 1]


@pytest.mark.parametrize("noise", [0, 40])
def test_dtx_is_silence_and_no_first_syllable_is_cut(noise: int) -> None:
    talks = ((0, 2), (4, 6), (8, 10))
    sound = np.random.default_rng(1).standard_normal(10 * SECOND) * noise
    for start, stop in talks:
        sound[start * SECOND : stop * SECOND] += SPEECH[start * SECOND : stop * SECOND]
    sent = spoken(opus_packets(sound.astype(np.int16), dtx=True), dtx=True)
    assert len(sent) < 420  # of 500 packets
    heard = hear(Network(delay=WAY).carry(sent), until=12 * SECOND)
    for start, stop in talks:
        said = sound[start * SECOND : stop * SECOND].astype(np.int16)
        match = best_lag(said, heard.between(start * SECOND, (start + 4) * SECOND))
        assert match.lag == pytest.approx(SECOND + PACKET + WAY + CLEAN_DELAY + CODEC_DELAY, abs=4)
        assert match.snr_db > 8
    # An encoder falls silent after 200 ms of noise, and sends a moment of it now and then.
    assert heard.silent_between(SECOND + 2_800 * MS, 5 * SECOND).all()
    assert heard.stats.lost == heard.stats.late == heard.stats.jumps == 0


def test_an_encoder_that_says_so_is_silent_at_once() -> None:
    silent = hear(Network(delay=WAY).carry(spoken([*TONE_PACKETS[:50], b"\x78"])), until=4 * SECOND)
    due = SECOND + 51 * PACKET + WAY + CLEAN_DELAY
    assert not silent.silent_between(SECOND + 100 * MS, due).any()
    assert silent.silent_between(due + 15 * MS, 4 * SECOND).all()


@pytest.mark.parametrize("ran_on", [True, False], ids=["RTP time ran on", "RTP time stood still"])
@pytest.mark.parametrize("pause", [500 * MS, 3 * SECOND, 70 * SECOND], ids=["0.5 s", "3 s", "70 s"])
def test_a_track_that_was_away_is_heard_again_without_lateness(pause: int, *, ran_on: bool) -> None:
    packets = opus_packets(SPEECH)
    before, after = packets[:100], packets[100:250]
    back = SECOND + 100 * PACKET + pause
    sent = spoken(before, sequence=65_500, timestamp=1_000)
    timestamp = 1_000 + 100 * PACKET + pause * ran_on
    sent += spoken(after, at=back, sequence=65_600, timestamp=timestamp)
    heard = hear(Network(delay=WAY).carry(sent), until=back + 5 * SECOND)
    match = best_lag(SPEECH[100 * PACKET : 250 * PACKET], heard.between(back, back + 5 * SECOND))
    assert match.lag == pytest.approx(PACKET + WAY + CLEAN_DELAY + CODEC_DELAY, abs=4)
    assert match.snr_db > 8
    assert heard.silent_between(back - pause + 200 * MS, back + 40 * MS).all()
    assert heard.stats.cut == heard.stats.skipped == heard.stats.lost == 0


@pytest.mark.parametrize("ppm", [200, -200])
@pytest.mark.timeout(120)
def test_clocks_that_differ_keep_step_for_five_minutes(ppm: int) -> None:
    # Long packets and blocks make little work of it.
    sent = spoken(opus_packets(TONE[: 9 * SECOND].astype(np.int16), frame_ms=60) * 34, ppm=ppm)
    end = sent[-1].at
    heard = hear(Network().carry(sent), until=end, block=960)
    delay = heard.delay_between(2 * SECOND, end)
    assert abs(delay - 60 * MS - 960 - 5 * MS).max() < 10 * MS
    assert not heard.silent_between(2 * SECOND, end).any()
    assert heard.stats.cut == heard.stats.concealed == heard.stats.skipped == 0
    assert largest_step(heard) <= 1.2 * TONE_STEP


def test_with_clocks_that_agree_no_sample_is_changed() -> None:
    packets = opus_packets(SPEECH)
    heard = hear(Network().carry(spoken(packets)), until=12 * SECOND)
    decoder = OpusDecoder(1)
    sound: NDArray[np.float32] = np.concatenate([decoder.decode(packet) for packet in packets])[:, 0]
    lag = best_lag(sound, heard.sound[:, 0]).lag
    risen = 312 + 240  # what the encoder looks ahead, and the fade
    assert np.array_equal(heard.between(lag + risen, lag + len(sound)), sound[risen:])


def garbled(share: float, *, seed: int = 1) -> list[Sent]:
    """The tone, with a share of its payloads replaced by what is no Opus."""
    bad = np.random.default_rng(seed).random(len(TONE_PACKETS)) < share
    sent = spoken(TONE_PACKETS)
    return [
        Sent(at, VoicePacket(packet.sequence, packet.timestamp, packet.ssrc, GARBAGE) if is_bad else packet)
        for (at, packet), is_bad in zip(sent, bad, strict=True)
    ]


def test_a_tenth_of_garbage_is_concealed() -> None:
    sent = garbled(0.1)
    heard = hear(Network().carry(sent), until=12 * SECOND)
    assert heard.stats.invalid == sum(packet.payload == GARBAGE for _, packet in sent) > 20
    assert heard.stats.lost == heard.stats.invalid
    assert heard.delay_between(2 * SECOND, 11 * SECOND).max() == CLEAN_DELAY
    assert not heard.silent_between(2 * SECOND, 11 * SECOND).any()


def push_all(receiver: VoiceReceiver, sent: list[Sent]) -> None:
    """Hand every packet over at the instant at which it leaves."""
    for at, packet in sent:
        receiver.push(packet, at)


@pytest.mark.parametrize("share", [0.7, 1.0])
def test_a_sender_of_garbage_is_given_up_after_a_second_and_not_before(share: float) -> None:
    receiver = VoiceReceiver(1, 240)
    sent = garbled(share)
    with pytest.raises(BadOpus):
        push_all(receiver, sent)
    given_up = sent[receiver.stats.packets - 1]
    assert SECOND <= given_up.at - sent[0].at <= 3 * SECOND


def test_a_second_of_garbage_is_forgiven_to_who_was_heard_before() -> None:
    sent = spoken(TONE_PACKETS)
    bad = [Sent(at, VoicePacket(one.sequence, one.timestamp, one.ssrc, GARBAGE)) for at, one in sent[100:140]]
    heard = hear(Network().carry(sent[:100] + bad + sent[140:]), until=12 * SECOND)
    assert heard.stats.invalid == 40
    assert not heard.silent_between(5 * SECOND, 11 * SECOND).any()


def test_a_payload_that_only_the_decoder_refuses_is_concealed(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = TONE_PACKETS[200]

    class Choosy(OpusDecoder):
        def decode(self, payload: bytes) -> NDArray[np.float32]:
            if payload == refused:
                raise BadOpus("not this one")
            return super().decode(payload)

    monkeypatch.setattr(playout, "OpusDecoder", Choosy)
    heard = hear(Network().carry(spoken(TONE_PACKETS[:201] + TONE_PACKETS[202:])), until=11 * SECOND)
    assert heard.stats.invalid == TONE_PACKETS.count(refused) == 1
    assert heard.stats.concealed == PACKET
    assert not heard.silent_between(2 * SECOND, 10 * SECOND).any()


packets = st.builds(
    VoicePacket,
    sequence=st.integers(0, 65_535),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2),
    payload=st.one_of(st.binary(max_size=60), st.sampled_from(TONE_PACKETS[:20])),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(packets, st.integers(0, 4_800)), max_size=60), st.sampled_from([1, 2]))
def test_whatever_comes_there_is_a_block_or_silence(
    coming: list[tuple[VoicePacket, int]], channels: int
) -> None:
    receiver = VoiceReceiver(channels, 240)
    now, due = SECOND, SECOND
    for packet, later in coming:
        now += later
        receiver.push(packet, now)
        while due < now - 480:
            block = receiver.pull(due)
            assert block is None or (block.shape == (240, channels) and np.isfinite(block).all())
            due += 240
        assert receiver._packets.held <= 2 * SECOND + 5_760
    for later in range(0, 2 * SECOND, 240):
        last = receiver.pull(now + later)
    assert last is None
