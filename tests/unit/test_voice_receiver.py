"""A voice through a network, as a listener hears it: in time, as whole as can be, and without clicks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.voice.packet import VoicePacket
from pipeline.voice.receiver import VoiceReceiver
from tests.audio import beeps, best_lag, find_beeps, speechlike
from tests.opus import opus_packets
from tests.voices import CODEC_DELAY, MS, SECOND, Heard, Network, Stall, changed, hear, leaping, spoken

SPEECH = speechlike(12 * SECOND, seed=1)
SPEECH_PACKETS = opus_packets(SPEECH)
PACKET = 20 * MS
WAY = 240
CLEAN_DELAY = 30 * MS


def hum(seconds: int) -> NDArray[np.int16]:
    """A voice that never pauses and steps little from sample to sample: a click stands out of it."""
    time = np.arange(seconds * SECOND) / SECOND
    sound = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 6))
    return np.asarray(sound * (0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * time)) * 6_000, np.int16)


HUM_PACKETS = opus_packets(hum(12))


def largest_step(heard: Heard) -> float:
    """The largest step between neighbouring samples."""
    return float(np.abs(np.diff(heard.sound[:, 0])).max())


HUM_STEP = largest_step(hear(Network().carry(spoken(HUM_PACKETS)), until=14 * SECOND))


@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60, 120])
def test_packets_of_every_length_are_heard_whole_a_packet_and_10_ms_after_they_came(frame_ms: float) -> None:
    length = round(frame_ms * MS)
    sent = spoken(opus_packets(SPEECH[: 4 * SECOND], frame_ms=frame_ms, bit_rate=64_000))
    heard = hear(Network(delay=WAY).carry(sent), until=6 * SECOND)
    match = best_lag(SPEECH[: 3 * SECOND], heard.sound[:, 0])
    # A packet leaves when its last sample was said.
    assert match.lag == pytest.approx(SECOND + length + WAY + length + 10 * MS + CODEC_DELAY, abs=4)
    assert match.snr_db > 8
    assert heard.stats.packets == len(sent)
    assert heard.stats.concealed == heard.stats.lost == heard.stats.cut == 0


def test_on_a_clean_network_a_packet_leaves_30_ms_after_its_arrival() -> None:
    # Not at the beginning of a block: the first one has silence before it.
    heard = hear(Network(delay=300).carry(spoken(SPEECH_PACKETS)), until=13 * SECOND)
    assert heard.delay_between(2 * SECOND, 13 * SECOND).tolist() == [CLEAN_DELAY] * (11 * SECOND // 240)


def test_stereo_stays_stereo_and_mono_is_heard_on_both_sides() -> None:
    left = np.stack((SPEECH[: 3 * SECOND], np.zeros(3 * SECOND, np.int16)), axis=1)
    heard = hear(Network().carry(spoken(opus_packets(left, bit_rate=96_000))), until=4 * SECOND, channels=2)
    assert heard.sound.shape == (4 * SECOND, 2)
    assert np.std(heard.sound[:, 0]) > 10 * np.std(heard.sound[:, 1])
    mono = hear(Network().carry(spoken(SPEECH_PACKETS[:100])), until=4 * SECOND, channels=2)
    heard_mono = mono.sound[2 * SECOND : 3 * SECOND]
    assert np.array_equal(heard_mono[:, 0], heard_mono[:, 1])
    assert heard_mono.any()


def test_packets_out_of_order_and_doubled_are_played_once_and_in_order() -> None:
    sent = spoken(SPEECH_PACKETS)
    clean = hear(Network().carry(sent), until=14 * SECOND)
    unruly = Network(reordered=0.2, behind=25 * MS, duplicates=0.2, seed=3)
    heard = hear(unruly.carry(sent), until=14 * SECOND)
    # Until the target has risen to what the order wants, every sample is the same.
    assert np.array_equal(heard.between(0, 2 * SECOND), clean.between(0, 2 * SECOND))
    assert heard.stats.duplicate == heard.stats.packets - len(sent) > 50
    assert heard.stats.late == heard.stats.lost == heard.stats.concealed == 0


def test_packets_that_are_overtaken_by_more_than_the_target_are_waited_for_within_seconds() -> None:
    arrivals = Network(reordered=0.1, behind=60 * MS, seed=1).carry(spoken(SPEECH_PACKETS))
    settled = hear(arrivals, until=5 * SECOND).stats
    heard = hear(arrivals, until=14 * SECOND)
    assert heard.stats.late == settled.late > 5
    assert heard.stats.concealed == settled.concealed


def test_a_packet_that_was_done_without_is_counted_and_dropped() -> None:
    arrivals = Network().carry(spoken(SPEECH_PACKETS))
    belated = arrivals.pop(100)
    arrivals = sorted([*arrivals, belated._replace(at=belated.at + 100 * MS)], key=lambda one: one.at)
    heard = hear(arrivals, until=13 * SECOND)
    assert (heard.stats.late, heard.stats.lost) == (1, 1)
    assert heard.delay_between(12 * SECOND, 13 * SECOND).max() == CLEAN_DELAY


def test_lost_packets_cost_no_time_and_come_back_from_the_next_ones_fec() -> None:
    def hurt(*, fec: bool) -> tuple[float, Heard]:
        """How much of the sound's energy a loss of 5 % spoils."""
        packets = opus_packets(SPEECH, bit_rate=32_000, fec=fec)
        whole = hear(Network().carry(spoken(packets)), until=13 * SECOND)
        heard = hear(Network(loss=0.05, seed=1).carry(spoken(packets)), until=13 * SECOND)
        spoilt = np.sum((heard.sound - whole.sound) ** 2) / np.sum(whole.sound**2)
        return float(spoilt), heard

    spoilt, heard = hurt(fec=True)
    spoilt_without, _ = hurt(fec=False)
    # Of the last packet nobody knows that it was lost.
    assert len(SPEECH_PACKETS) - heard.stats.packets - 1 <= heard.stats.lost
    assert heard.stats.lost > 20
    assert heard.stats.recovered > heard.stats.lost // 2
    assert spoilt < 0.6 * spoilt_without
    assert heard.delay_between(2 * SECOND, 13 * SECOND).max() == CLEAN_DELAY
    assert not heard.silent_between(2 * SECOND, 12 * SECOND).any()


def test_a_voice_that_breaks_off_fades_within_100_ms_and_comes_back_without_a_click() -> None:
    arrivals = Network().carry(spoken(HUM_PACKETS))
    start, stop = 5 * SECOND, 6 * SECOND
    heard = hear([one for one in arrivals if not start <= one.at < stop], until=14 * SECOND)
    out = start + CLEAN_DELAY + 100 * MS
    assert not heard.silent_between(start - SECOND, start + 80 * MS).any()
    assert heard.silent_between(out + 240, stop).all()
    assert not heard.silent_between(stop + CLEAN_DELAY + PACKET, 12 * SECOND).any()
    assert heard.delay_between(stop + 60 * MS, 12 * SECOND).max() == CLEAN_DELAY
    assert largest_step(heard) <= 1.2 * HUM_STEP


@pytest.mark.parametrize("ms", [60, 200, 350, 500])
def test_what_came_late_is_still_played_and_the_lateness_made_up_in_seconds(ms: int) -> None:
    sound = beeps(12, period_samples=400 * MS)
    sound = np.clip(sound + SPEECH // 64, -32_768, 32_767).astype(np.int16)
    stall = Stall(5 * SECOND, 5 * SECOND + ms * MS)
    heard = hear(Network(stalls=(stall,)).carry(spoken(opus_packets(sound))), until=14 * SECOND)
    tones = [beep.tone for beep in find_beeps(heard.sound[:, 0], likeness=0.6)]
    assert tones == [index % 8 for index in range(30)]
    assert heard.delay_between(stall.stop, stall.stop + SECOND).max() > CLEAN_DELAY + 10 * MS
    assert heard.delay_between(stall.stop + 4 * SECOND, 12 * SECOND).max() <= CLEAN_DELAY + 6 * MS
    assert heard.stats.cut > 0
    assert heard.stats.skipped == heard.stats.lost == heard.stats.late == 0


@pytest.mark.parametrize("ms", [60, 200, 500, 1_500])
def test_a_stall_clicks_nowhere(ms: int) -> None:
    stall = Stall(5 * SECOND, 5 * SECOND + ms * MS)
    heard = hear(Network(stalls=(stall,)).carry(spoken(HUM_PACKETS)), until=14 * SECOND)
    assert largest_step(heard) <= 1.2 * HUM_STEP


def test_sound_that_repeats_nothing_is_made_up_for_too() -> None:
    noise = np.random.default_rng(1).standard_normal(12 * SECOND) * 3_000
    stall = Stall(5 * SECOND, 5 * SECOND + 300 * MS)
    packets = opus_packets(noise.astype(np.int16), bit_rate=64_000)
    heard = hear(Network(stalls=(stall,)).carry(spoken(packets)), until=14 * SECOND)
    assert heard.delay_between(stall.stop + 6 * SECOND, 12 * SECOND).max() <= CLEAN_DELAY + 21 * MS


def test_more_than_a_second_of_lateness_is_skipped_at_once() -> None:
    stall = Stall(5 * SECOND, 5 * SECOND + 1_500 * MS)
    heard = hear(Network(stalls=(stall,)).carry(spoken(HUM_PACKETS)), until=14 * SECOND)
    assert heard.delay_between(stall.stop + 100 * MS, 12 * SECOND).max() <= CLEAN_DELAY + 20 * MS
    assert heard.stats.skipped == pytest.approx(1_460 * MS, abs=40 * MS)
    assert not heard.silent_between(stall.stop + 40 * MS, 12 * SECOND).any()


@pytest.mark.parametrize("overtaken", [False, True])
def test_what_trickles_in_after_a_long_stall_is_skipped_while_it_plays(*, overtaken: bool) -> None:
    """It is even overtaken by what is sent then, where the network has two ways."""
    start, stop = 5 * SECOND, 6_900 * MS
    arrivals = []
    for one in Network().carry(spoken(HUM_PACKETS)):
        waited = start <= one.at < stop or (not overtaken and stop <= one.at < stop + 100 * MS)
        arrivals.append(one._replace(at=stop + (one.at - start) // 20) if waited else one)
    arrivals.sort(key=lambda one: one.at)
    heard = hear(arrivals, until=14 * SECOND)
    assert heard.stats.skipped + heard.stats.late * PACKET > SECOND
    assert heard.stats.duplicate == 0
    assert heard.delay_between(stop + 4 * SECOND, 12 * SECOND).max() <= CLEAN_DELAY + 6 * MS
    assert largest_step(heard) <= 1.2 * HUM_STEP


def test_the_target_rises_with_jitter_within_two_seconds_and_falls_unheard() -> None:
    sent = spoken(opus_packets(hum(40)))
    calm, storm = sent[0].at + 5 * SECOND, sent[0].at + 10 * SECOND
    arrivals = Network().carry(one for one in sent if not calm <= one.at < storm)
    arrivals += Network(jitter=50 * MS, seed=1).carry(one for one in sent if calm <= one.at < storm)
    arrivals.sort(key=lambda one: one.at)
    before = hear(arrivals, until=calm + 2 * SECOND).stats
    heard = hear(arrivals, until=40 * SECOND)
    target = heard.target[:: SECOND // 240] // MS
    assert target[5] == 30
    assert 45 <= target[9] <= 60
    assert target[39] == 30
    # What is missing after those two seconds is little, and nothing is cut out on the way back.
    assert heard.stats.concealed - before.concealed <= 40 * MS
    assert heard.delay_between(38 * SECOND, 40 * SECOND).max() <= CLEAN_DELAY + 5 * MS
    assert heard.stats.cut == hear(arrivals, until=storm + SECOND).stats.cut == before.cut
    assert largest_step(heard) <= 1.3 * HUM_STEP


@pytest.mark.parametrize("ms", [300, 1_000, 1_900])
def test_a_process_that_stood_still_loses_and_delays_nothing(ms: int) -> None:
    arrivals = Network(jitter=5 * MS, seed=2).carry(spoken(SPEECH_PACKETS))
    clean = hear(arrivals, until=13 * SECOND)
    standing = tuple(Stall(start * SECOND, start * SECOND + ms * MS) for start in (3, 6, 9))
    stood = hear(arrivals, until=13 * SECOND, standing=standing)
    assert np.array_equal(stood.sound, clean.sound)
    assert stood.target.max() == clean.target.max()


def test_a_voice_is_ready_when_its_first_packet_is_due_and_until_it_has_faded() -> None:
    receiver = VoiceReceiver(1, 240)
    ready = []
    for at, packet in Network(delay=0).carry(spoken(HUM_PACKETS[:3], at=0)):
        receiver.push(packet, at)
        ready.append(receiver.ready)
    assert ready == [False, False, True]
    sounding = 0
    for due in range(50 * MS, 400 * MS, 240):
        assert receiver.ready == (receiver.pull(due) is not None)
        sounding += 240 * receiver.ready
    assert 60 * MS < sounding <= 160 * MS
    assert not receiver.ready


def test_a_voice_that_says_only_that_it_is_silent_is_not_ready() -> None:
    receiver = VoiceReceiver(1, 240)
    for at, packet in Network().carry(spoken([b"\x78"] * 50, at=0)):
        receiver.push(packet, at)
        assert not receiver.ready
    later = spoken(HUM_PACKETS[:3], at=2 * SECOND, sequence=65_050, timestamp=4_294_000_000 + 2 * SECOND)
    for at, packet in later:
        receiver.push(packet, at)
    assert receiver.ready


def test_a_block_is_prompt_while_packets_hold_it_whole() -> None:
    receiver = VoiceReceiver(1, 240)
    for at, packet in Network(delay=0).carry(spoken(HUM_PACKETS[:2], at=0)):
        receiver.push(packet, at)
    prompt = []
    for due in range(40 * MS, 100 * MS, 240):
        prompt.append(receiver.prompt)
        receiver.pull(due)
    # The first sample is due at 50 ms, and there are 40 ms of sound.
    assert prompt[:11] == [True] * 10 + [False]


def test_no_more_than_two_seconds_wait() -> None:
    receiver = VoiceReceiver(1, 240)
    for at, packet in Network().carry(spoken(SPEECH_PACKETS)):
        receiver.push(packet, at)
    assert receiver._packets.held <= 2 * SECOND
    assert receiver.stats.skipped >= 9 * SECOND


def test_no_more_than_a_thousand_packets_wait_whatever_their_timestamps_say() -> None:
    receiver = VoiceReceiver(1, 240)
    for index in range(3_000):
        receiver.push(VoicePacket(index, index, 1, HUM_PACKETS[0]), SECOND + index)
    assert len(receiver._packets._waiting) == 1_000


@pytest.mark.parametrize("block", [240, 960])
def test_blocks_are_as_long_as_they_are_wanted(block: int) -> None:
    heard = hear(Network().carry(spoken(HUM_PACKETS[:100])), until=4 * SECOND, block=block)
    assert len(heard.sound) == 4 * SECOND
    assert not heard.silent_between(2 * SECOND, 3 * SECOND).any()
    assert heard.stats.concealed == 0


def test_a_sender_that_always_sends_two_at_once_is_heard_without_a_gap() -> None:
    sent = spoken(HUM_PACKETS)
    paired = [one._replace(at=sent[index | 1].at) for index, one in enumerate(sent)]
    heard = hear(Network().carry(paired), until=14 * SECOND)
    assert not heard.silent_between(2 * SECOND, 12 * SECOND).any()
    assert heard.stats.concealed <= 40 * MS
    assert heard.delay_between(10 * SECOND, 12 * SECOND).max() <= 35 * MS


def test_a_route_that_becomes_longer_for_good_is_followed() -> None:
    sent = spoken(HUM_PACKETS)
    moved = [one if one.at < 5 * SECOND else one._replace(at=one.at + 70 * MS) for one in sent]
    heard = hear(Network().carry(moved), until=14 * SECOND)
    assert not heard.silent_between(6 * SECOND, 12 * SECOND).any()
    settled = hear(Network().carry(moved), until=7 * SECOND).stats
    assert heard.stats.concealed == settled.concealed <= 200 * MS


def test_stragglers_of_a_source_that_was_replaced_are_dropped_and_reset_nothing() -> None:
    sent = spoken(HUM_PACKETS)
    new = changed(sent, 5 * SECOND, leaping(ssrc=1, sequence=99, timestamp=77_777))
    arrivals = Network().carry(new)
    first_of_new = next(index for index, one in enumerate(arrivals) if one.packet.ssrc != sent[0].packet.ssrc)
    swapped = arrivals[first_of_new]
    arrivals[first_of_new - 1], arrivals[first_of_new] = (
        swapped._replace(at=arrivals[first_of_new - 1].at),
        arrivals[first_of_new - 1]._replace(at=swapped.at),
    )
    heard = hear(arrivals, until=14 * SECOND)
    assert heard.stats.jumps == 1
    assert heard.stats.late == 1
