"""The packets that wait: in order, once, and never after what followed them was played."""

import pytest

from pipeline.voice.packet_queue import Fate, PacketQueue, Waiting


def packet(order: int, *, payload: bytes = b"\x78\x00\x00", stream: int = 0) -> Waiting:
    """A packet of 20 ms at its place."""
    return Waiting(order, 960 * order, 960, stream, 0, payload)


def test_packets_come_out_in_the_order_in_which_they_were_sent() -> None:
    queue = PacketQueue()
    for order in (2, 0, -1, 1):
        assert queue.put(packet(order)) is Fate.TAKEN
    assert queue.held == 4 * 960
    assert [queue.pop().order for _ in range(4)] == [-1, 0, 1, 2]
    assert queue.first is None
    assert queue.held == 0
    with pytest.raises(LookupError):
        queue.pop()


def test_what_waits_or_was_taken_out_is_a_duplicate_and_what_was_passed_over_is_late() -> None:
    queue = PacketQueue()
    for order in (0, 1, 3, 4):
        queue.put(packet(order))
    assert queue.put(packet(4)) is Fate.DUPLICATE
    for _ in range(3):
        queue.pop()
    assert queue.next == 4
    assert queue.put(packet(1)) is Fate.DUPLICATE
    assert queue.put(packet(2)) is Fate.LATE
    assert queue.held == 960


def test_the_first_packet_says_whether_the_next_one_is_missing() -> None:
    queue = PacketQueue()
    queue.put(packet(0))
    queue.pop()
    queue.put(packet(2))
    queue.put(packet(3))
    assert queue.first == packet(2)
    assert queue.second == packet(3)
    before = queue.next_is_here
    queue.put(packet(1))
    assert (before, queue.next_is_here) == (False, True)
    assert queue.first == packet(1)


def test_more_than_two_seconds_or_a_thousand_packets_are_too_much() -> None:
    queue = PacketQueue()
    queue.put(packet(0))
    queue.put(packet(99))
    assert not queue.overfull()
    queue.put(packet(100))
    assert queue.overfull()


def test_a_packet_goes_on_from_the_one_before_it_if_nothing_lies_between() -> None:
    assert packet(1).goes_on_from(packet(0))
    assert not packet(2).goes_on_from(packet(0))
    assert not packet(1, stream=1).goes_on_from(packet(0))
    assert not packet(1, payload=b"\x78").goes_on_from(packet(0))
    assert packet(1, payload=b"\x78").silent
