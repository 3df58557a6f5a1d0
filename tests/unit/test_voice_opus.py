"""Opus packets by libopus: lengths, sound, losses filled in, and garbage that hurts nobody."""

import ctypes
import gc
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.voice import opus
from pipeline.voice.opus import BadOpus, OpusDecoder, OpusMissing, carries_fec, samples_of
from tests.audio import best_lag, snr_db, speechlike
from tests.opus import opus_packets

SPEECH = speechlike(5 * 48_000, seed=3)
STEREO = np.stack((SPEECH, np.roll(SPEECH, 48_000) // 2), axis=1)


class Loss(NamedTuple):
    """How like the lost frames what stands in for them is; medians over a stretch of speech."""

    snr_db: float
    likeness: float


def filled(packets: list[bytes], *, with_fec: bool) -> Loss:
    """Each tenth packet with sound in it is lost, one at a time, and filled in."""
    whole = OpusDecoder(1)
    true = [whole.decode(packet)[:, 0] for packet in packets]
    losses = []
    for lost in range(10, len(packets) - 1, 10):
        if float(np.std(true[lost])) < 0.02:
            continue
        decoder = OpusDecoder(1)
        for packet in packets[:lost]:
            decoder.decode(packet)
        samples = samples_of(packets[lost])
        sound = decoder.recover(packets[lost + 1], samples) if with_fec else decoder.conceal(samples)
        likeness = float(np.corrcoef(true[lost], sound[:, 0])[0, 1])
        losses.append((snr_db(true[lost], sound[:, 0]), likeness))
    assert len(losses) >= 10
    return Loss(*(float(value) for value in np.median(losses, axis=0)))


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        (b"\x80", 120),  # CELT, 2.5 ms, and nothing in the frame: a DTX packet is no longer than this
        (b"\x78\x00", 960),  # hybrid, 20 ms, code 0: one frame
        (b"\x18\x00", 2880),  # SILK, 60 ms
        (b"\x19\x01\x02", 5760),  # code 1: two equal frames
        (b"\x0a\x01\x00\x00", 1920),  # code 2: two frames, the first of one byte
        (b"\x0b\x03\x00\x00\x00", 2880),  # code 3: three frames
    ],
)
def test_a_payload_says_how_long_it_sounds(payload: bytes, samples: int) -> None:
    assert samples_of(payload) == samples
    assert OpusDecoder(2).decode(payload).shape == (samples, 2)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x19\x01",  # R3: two equal frames in an odd number of bytes
        b"\x0a",  # R4: two frames without the length of the first
        b"\x0a\x09\x00",  # R4: a first frame longer than the packet
        b"\x0b",  # R6: no frame count
        b"\x0b\x00",  # R5: no frame at all
        b"\x1b\x03\x00\x00\x00",  # R5: 180 ms
        b"\x78" + bytes(1276),  # R2: a frame of more than 1275 bytes
    ],
    ids=["empty", "odd", "no length", "cut off", "no count", "none", "too long", "too large"],
)
def test_what_is_not_an_opus_packet_is_refused(payload: bytes) -> None:
    for read in (samples_of, carries_fec, OpusDecoder(1).decode):
        with pytest.raises(BadOpus):
            read(payload)
    with pytest.raises(BadOpus):
        OpusDecoder(1).recover(payload, 960)


@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60, 120])
def test_packets_of_every_length_decode_to_what_was_said(frame_ms: float) -> None:
    packets = opus_packets(SPEECH, bit_rate=64_000, frame_ms=frame_ms, fec=False)
    decoder = OpusDecoder(1)
    frames = [decoder.decode(packet) for packet in packets]
    assert {len(frame) for frame in frames} == {round(frame_ms * 48)} == set(map(samples_of, packets))
    sound = np.concatenate(frames)[:, 0]
    assert sound.dtype == np.float32
    match = best_lag(SPEECH[:96_000], sound)
    assert 100 <= match.lag <= 320  # the encoder's look-ahead
    assert match.snr_db > 12


def test_a_stream_comes_out_with_as_many_channels_as_asked() -> None:
    decoders = [OpusDecoder(channels) for channels in (1, 2)]
    stereo = opus_packets(STEREO, bit_rate=96_000)
    mixed, both = (np.concatenate([decoder.decode(packet) for packet in stereo]) for decoder in decoders)
    assert best_lag(STEREO[:96_000, 1], both[:, 1]).snr_db > 10
    assert snr_db(both.mean(axis=1), mixed[:, 0]) > 25
    # The same decoder goes on with a stream that has become mono.
    mono = opus_packets(SPEECH)
    assert [len(decoders[1].decode(packet)) for packet in mono] == [960] * len(mono)


@pytest.mark.parametrize("bit_rate", [24_000, 32_000])
def test_a_lost_frame_is_recovered_from_the_packet_after_it(bit_rate: int) -> None:
    packets = opus_packets(SPEECH, bit_rate=bit_rate)
    recovered, concealed = filled(packets, with_fec=True), filled(packets, with_fec=False)
    assert recovered.snr_db > concealed.snr_db + 8
    assert recovered.likeness > 0.95
    assert concealed.likeness < 0.8


def test_recovery_without_fec_is_concealment() -> None:
    packets = opus_packets(SPEECH, fec=False)
    assert filled(packets, with_fec=True) == filled(packets, with_fec=False)


def test_of_a_longer_loss_the_last_frame_is_recovered_and_the_rest_concealed() -> None:
    packets = opus_packets(SPEECH)
    following = next(packet for packet in packets[40:] if carries_fec(packet))
    at_once, in_turn, concealed = OpusDecoder(1), OpusDecoder(1), OpusDecoder(1)
    for packet in packets[: packets.index(following) - 2]:
        for decoder in (at_once, in_turn, concealed):
            decoder.decode(packet)
    sound = at_once.recover(following, 1920)
    assert np.array_equal(sound, np.concatenate((in_turn.conceal(960), in_turn.recover(following, 960))))
    assert not np.array_equal(sound, concealed.conceal(1920))


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
@pytest.mark.parametrize("pcm", [SPEECH, STEREO], ids=["mono", "stereo"])
def test_fec_is_seen_where_libopus_sees_it(pcm: NDArray[np.int16], frame_ms: float) -> None:
    oracle = getattr(opus._library(), "opus_packet_has_lbrr", None)
    if oracle is None:
        pytest.skip("this libopus is older than 1.5")
    oracle.argtypes = [ctypes.c_char_p, ctypes.c_int]
    packets = opus_packets(pcm, frame_ms=frame_ms, bit_rate=48_000) + opus_packets(pcm, fec=False)
    seen = [carries_fec(packet) for packet in packets]
    assert seen == [bool(oracle(packet, len(packet))) for packet in packets]
    assert {True, False} <= set(seen)


def test_concealment_draws_the_sound_out_and_then_fades() -> None:
    packets = opus_packets(SPEECH)
    decoder = OpusDecoder(1)
    loud = next(n for n in range(20, 200) if float(np.std(OpusDecoder(1).decode(packets[n]))) > 0.03)
    for packet in packets[: loud + 1]:
        decoder.decode(packet)
    fading = [float(np.std(decoder.conceal(960))) for _ in range(20)]
    assert fading[0] > 0.01
    assert fading[-1] < fading[0] / 10
    assert [len(decoder.conceal(samples)) for samples in (120, 600, 5760)] == [120, 600, 5760]


@pytest.mark.parametrize("samples", [0, -120, 100, 5880])
def test_a_loss_of_no_whole_number_of_grains_is_the_callers_mistake(samples: int) -> None:
    decoder = OpusDecoder(1)
    with pytest.raises(ValueError, match="multiples of 120"):
        decoder.conceal(samples)
    with pytest.raises(ValueError, match="multiples of 120"):
        decoder.recover(b"\x78\x00", samples)


def test_silence_under_dtx_is_tiny_packets_that_decode_to_near_silence() -> None:
    said = np.concatenate((SPEECH[:96_000], np.zeros(96_000, np.int16)))
    packets = opus_packets(said, dtx=True)
    tiny = [number for number, packet in enumerate(packets) if len(packet) <= 2]
    assert len(tiny) > 50
    decoder = OpusDecoder(1)
    sound = [decoder.decode(packet) for packet in packets]
    assert max(float(np.abs(sound[number]).max()) for number in tiny[10:]) < 0.01


def test_a_sound_that_was_given_out_is_not_overwritten_by_the_next() -> None:
    decoder = OpusDecoder(1)
    packets = opus_packets(SPEECH)
    first = decoder.decode(packets[30])
    kept = first.copy()
    decoder.decode(packets[31])
    assert np.array_equal(first, kept)


@settings(max_examples=300, deadline=None)
@given(payloads=st.lists(st.binary(max_size=200), min_size=1, max_size=4), channels=st.sampled_from([1, 2]))
def test_any_bytes_are_sound_or_refused(payloads: list[bytes], channels: int) -> None:
    decoder = OpusDecoder(channels)
    for payload in payloads:
        try:
            samples = samples_of(payload)
        except BadOpus:
            with pytest.raises(BadOpus):
                decoder.decode(payload)
            continue
        sounds = decoder.recover(payload, 960), decoder.decode(payload)
        assert [sound.shape for sound in sounds] == [(960, channels), (samples, channels)]
        for sound in sounds:
            assert float(np.abs(sound).max()) <= 2.0  # NaN is not


def test_forged_packets_are_never_louder_than_a_little_over_full_scale() -> None:
    rng = np.random.default_rng(8)
    decoder, loudest = OpusDecoder(1), 0.0
    for _ in range(2000):
        forged = b"\xfc" + rng.bytes(60)  # CELT, full band, 20 ms
        loudest = max(loudest, float(np.abs(decoder.decode(forged)).max()))
    assert loudest == 2.0  # it was held back


def test_a_cut_off_packet_leaves_the_decoder_able_to_go_on() -> None:
    packets = opus_packets(SPEECH)
    decoder = OpusDecoder(1)
    for number, packet in enumerate(packets[:100]):
        decoder.decode(packet if number != 50 else packet[:5])
    whole = OpusDecoder(1)
    true = [whole.decode(packet)[:, 0] for packet in packets[:150]][100:]
    sound = [decoder.decode(packet)[:, 0] for packet in packets[100:150]]
    assert snr_db(np.concatenate(true), np.concatenate(sound)) > 15


def test_decoders_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = OpusDecoder(1)
    library, destroyed = decoder._library, list[int]()
    monkeypatch.setattr(library, "opus_decoder_destroy", destroyed.append)
    watched = OpusDecoder(1)
    state = watched._state
    del watched
    gc.collect()
    assert destroyed == [state]


def test_a_machine_without_libopus_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    with pytest.raises(OpusMissing, match="apt install libopus0"):
        opus._library.__wrapped__()


def test_a_libopus_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "libopus.so.0"
    broken.write_bytes(b"no library")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: str(broken))
    with pytest.raises(OpusMissing, match="cannot be loaded"):
        opus._library.__wrapped__()
