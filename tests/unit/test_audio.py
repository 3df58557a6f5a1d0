"""The ears of the other tests: what they hear is there, and what is not there they do not hear."""

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.audio import RATE, Beep, beeps, best_lag, find_beeps, seeded_noise, snr_db, speechlike

MILLISECOND = RATE // 1000


def through_aac(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """An ordinary AAC round trip at 64 kbit/s, without the 1024 samples that libavcodec's encoder delays."""
    encoder = av.AudioCodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "fltp"
    encoder.bit_rate = 64_000
    encoder.open()
    decoder = av.AudioCodecContext.create("aac", "r")
    decoder.extradata = encoder.extradata
    padded = np.concatenate((pcm, np.zeros(-len(pcm) % 1024 + 4096, np.int16))).astype(np.float32) / 32768
    packets = []
    for index, block in enumerate(padded.reshape(-1, 1, 1024)):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, index * 1024
        packets += encoder.encode(frame)
    decoded = [out.to_ndarray()[0] for packet in packets for out in decoder.decode(packet)]
    return np.concatenate(decoded)[1024 : 1024 + len(pcm)].astype(np.float32)


def assert_heard(found: list[Beep], expected: list[Beep], within: int = MILLISECOND) -> None:
    assert [beep.tone for beep in found] == [beep.tone for beep in expected]
    assert all(abs(f.sample - e.sample) < within for f, e in zip(found, expected, strict=True)), found


def test_every_beep_is_found_at_its_sample_with_its_tone() -> None:
    expected = [Beep(48_000 * i, i % 8) for i in range(12)]
    assert_heard(find_beeps(beeps(12)), expected, within=3)


def test_beeps_may_come_faster_and_start_anywhere() -> None:
    pcm = np.concatenate((np.zeros(12_345, np.int16), beeps(3, period_samples=7_201)))
    assert_heard(find_beeps(pcm), [Beep(12_345 + 7_201 * i, i % 8) for i in range(20)], within=3)


def test_a_beep_that_would_be_cut_off_at_the_end_is_not_made() -> None:
    assert len(find_beeps(beeps(2.05))) == 2
    assert len(find_beeps(beeps(2.06))) == 3


def test_beeps_are_heard_after_aac() -> None:
    assert_heard(find_beeps(through_aac(beeps(9))), [Beep(48_000 * i, i % 8) for i in range(9)])


def test_beeps_are_heard_in_noise_quietly_and_upside_down() -> None:
    noise = seeded_noise(9 * RATE, 5, amplitude=0.02).astype(np.float32)
    pcm = (beeps(9).astype(np.float32) * -0.4 + noise) / 32768
    assert_heard(find_beeps(pcm), [Beep(48_000 * i, i % 8) for i in range(9)])


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(0, np.int16),
        np.zeros(100, np.int16),
        np.zeros(RATE, np.int16),
        seeded_noise(5 * RATE, 1),
        speechlike(5 * RATE, 1),
    ],
    ids=["nothing", "too short", "silence", "noise", "speech"],
)
def test_no_beep_is_heard_where_none_is(pcm: NDArray[np.int16]) -> None:
    assert find_beeps(pcm) == []


def test_a_dropout_moves_the_beeps_after_it() -> None:
    pcm = beeps(4)
    cut = np.concatenate((pcm[:60_000], pcm[60_960:]))
    assert_heard(find_beeps(cut), [Beep(0, 0), Beep(48_000, 1), Beep(95_040, 2), Beep(143_040, 3)], within=3)


def test_a_beep_that_lost_half_of_itself_is_not_heard() -> None:
    pcm = beeps(3)
    pcm[48_000 : 48_000 + 1_600] = 0
    assert_heard(find_beeps(pcm), [Beep(0, 0), Beep(96_000, 2)], within=3)


def test_beeps_are_found_across_the_borders_of_the_search() -> None:
    found = find_beeps(beeps(30, period_samples=9_973))
    assert_heard(found, [Beep(9_973 * i, i % 8) for i in range(len(found))], within=3)
    assert len(found) == 145


@pytest.mark.parametrize("lag", [0, 1, 777, 30_000])
def test_the_lag_of_a_copy_is_found_exactly(lag: int) -> None:
    reference = speechlike(2 * RATE, 3)
    recording = np.concatenate((np.zeros(lag, np.int16), reference))
    assert best_lag(reference, recording) == (lag, float("inf"))


def test_the_lag_is_negative_when_the_beginning_is_missing() -> None:
    reference = seeded_noise(RATE, 4)
    assert best_lag(reference, reference[1_000:]) == (-1_000, float("inf"))


def test_the_signal_to_noise_ratio_is_the_one_that_was_mixed() -> None:
    reference = seeded_noise(RATE, 1, amplitude=0.1)
    recording = reference + seeded_noise(RATE, 2, amplitude=0.01)
    match = best_lag(reference, recording)
    assert match.lag == 0
    assert match.snr_db == pytest.approx(20, abs=0.3)


def test_what_shares_nothing_has_no_signal() -> None:
    assert snr_db(beeps(1), beeps(1), lag=RATE) == float("-inf")


@pytest.mark.parametrize("make", [seeded_noise, speechlike])
def test_a_seed_makes_the_same_sound_again_and_another_makes_another(make: object) -> None:
    assert callable(make)
    assert np.array_equal(make(RATE, 7), make(RATE, 7))
    assert not np.array_equal(make(RATE, 7), make(RATE, 8))


def test_speechlike_sound_survives_aac_as_speech_does() -> None:
    pcm = speechlike(4 * RATE, 2)
    assert np.max(np.abs(pcm)) < 32_767
    match = best_lag(pcm, through_aac(pcm))
    assert match.lag == 0
    assert match.snr_db > 15


def test_two_channels_are_refused_rather_than_mixed() -> None:
    with pytest.raises(ValueError, match="one channel"):
        find_beeps(np.zeros((10, 2), np.int16))
