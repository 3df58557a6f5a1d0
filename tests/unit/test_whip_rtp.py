"""RTP and RTCP: packets taken apart, reports that a browser can act on, and garbage that is nothing."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from pipeline.voice.packet import VoicePacket
from workers.whip.reception import Reception
from workers.whip.rtcp import ReportBlock, SenderReport, read_sender_reports, write_report
from workers.whip.rtp import read_rtp

OPUS = 111
FRAME = 960
HEADER = bytes.fromhex("806f 1234 89abcdef 01020304")
PACKET = VoicePacket(0x1234, 0x89ABCDEF, 0x01020304, b"opus")


def test_a_packet_is_taken_apart() -> None:
    assert read_rtp(HEADER + b"opus", OPUS) == PACKET


def test_the_marker_is_no_part_of_the_payload_type() -> None:
    assert read_rtp(HEADER[:1] + b"\xef" + HEADER[2:] + b"opus", OPUS) == PACKET


def test_sources_extensions_and_padding_are_no_voice() -> None:
    extension = bytes.fromhex("bede 0001 32003100")
    sources = bytes.fromhex("0a0a0a0a 0b0b0b0b")
    assert read_rtp(b"\xb2" + HEADER[1:] + sources + extension + b"opus\x00\x00\x03", OPUS) == PACKET


def test_another_payload_type_is_no_voice() -> None:
    assert read_rtp(HEADER + b"tone", 110) is None


def test_padding_alone_is_no_voice() -> None:
    assert read_rtp(b"\xa0" + HEADER[1:] + b"\x00\x00\x03", OPUS) is None


def test_a_truncated_packet_is_none() -> None:
    whole = b"\xb2" + HEADER[1:] + bytes(8) + bytes.fromhex("bede 0001 32003100") + b"o\x01"
    assert read_rtp(whole, OPUS) is not None
    assert all(read_rtp(whole[:n], OPUS) is None for n in range(len(whole) - 1))


@given(st.binary(max_size=80))
def test_garbage_never_raises(data: bytes) -> None:
    read_rtp(data, OPUS)
    read_rtp(b"\x80" + data, OPUS)
    list(read_sender_reports(data))
    list(read_sender_reports(b"\x80\xc8" + data))


def test_the_time_stamp_of_a_sender_report_is_kept() -> None:
    report = struct.pack("!BBHIQIII", 0x80, 200, 6, 5, 0x0123456789ABCDEF, 0, 0, 0)
    description = bytes.fromhex("81ca0002 00000005 01000000")
    assert list(read_sender_reports(description + report)) == [SenderReport(5, 0x456789AB)]
    assert list(read_sender_reports(report[:-4])) == []


def test_a_report_is_a_whole_compound_packet() -> None:
    block = ReportBlock(ssrc=5, fraction=64, lost=-2, highest=0x10002, jitter=3, last_report=4, delay=9)
    data = write_report(7, "name", block)
    assert data[:32] == bytes.fromhex(
        "81c90007 00000007 00000005 40fffffe 00010002 00000003 00000004 00000009"
    )
    assert data[32:] == bytes.fromhex("81ca0003 00000007 01046e616d650000")


def fed(numbers: list[int], reception: Reception | None = None) -> Reception:
    """Packets every 20 ms of sequence numbers `numbers`, in order of arrival."""
    reception = reception or Reception(5)
    for at, number in enumerate(numbers):
        reception.add(number % 2**16, number * FRAME % 2**32, 1_000_000 + at * FRAME)
    return reception


def test_a_clean_line_is_reported_as_one() -> None:
    block = fed(list(range(65_530, 65_550))).report(0)
    assert block is not None
    assert (block.fraction, block.lost, block.highest, block.jitter) == (0, 0, 65_549, 0)


def test_losses_since_the_last_report_make_its_fraction() -> None:
    reception = fed([n for n in range(100) if n % 4 != 1])
    first = reception.report(0)
    assert first is not None
    assert (first.fraction, first.lost) == (64, 25)
    second = fed(list(range(100, 200)), reception).report(0)
    assert second is not None
    assert (second.fraction, second.lost) == (0, 25)


def test_what_comes_late_is_no_loss() -> None:
    block = fed([0, 2, 1, 3]).report(0)
    assert block is not None
    assert (block.lost, block.highest) == (0, 3)


def test_a_leap_of_sequence_numbers_is_a_new_beginning() -> None:
    block = fed([*range(10), *range(30_000, 30_010)]).report(0)
    assert block is not None
    assert (block.lost, block.highest) == (0, 30_009)


def test_jitter_is_measured_in_samples() -> None:
    reception = Reception(5)
    for number in range(400):
        reception.add(number, number * FRAME, number * FRAME + 480 * (number % 2))
    block = reception.report(0)
    assert block is not None
    assert 470 <= block.jitter <= 490


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.integers(0, 2**40))))
def test_any_stream_gives_a_report_that_can_be_sent(stream: list[tuple[int, int, int]]) -> None:
    reception = Reception(5)
    for sequence, timestamp, now in stream:
        reception.add(sequence, timestamp, now)
        block = reception.report(now)
        assert block is not None
        write_report(7, "name", block)


def test_a_report_echoes_the_senders_clock_and_says_how_long_ago() -> None:
    reception = fed([1])
    reception.sent(0xABCDEF01, 48_000)
    block = reception.report(72_000)
    assert block is not None
    assert (block.last_report, block.delay) == (0xABCDEF01, 65_536 // 2)


def test_there_is_nothing_to_report_before_the_first_packet() -> None:
    assert Reception(5).report(0) is None
