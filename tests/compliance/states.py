"""Every state that a playlist can be in, as a take's window comes to it."""

from __future__ import annotations

from collections.abc import Callable

from contracts.position import Position
from contracts.take import TakeEvent
from pipeline.grid import SEGMENT
from pipeline.take_window import TakeWindow
from tests.takes import play, window

HOSTILE = (
    'He said "stop", twice',
    "line\r\nbreak\n#EXT-X-ENDLIST\n",
    "100 % of {$variables}, 'single' and `back`",
    "'a',DURATION=5,'b'",
    "it's",
    "nul\x00 bell\x07 escape\x1b next\x85 line\u2028 paragraph\u2029 mark\ufeff",
    "🎙️ Über 日本 עברית \u202eright to left",
    'a,b=c,X-TITLE="d",END-ON-NEXT=NO',
    "long " + "x" * 10_000,
    " ",
)


def first_segment() -> TakeWindow:
    take = window()
    play(take, (0, 0), (1, 0))
    return take


def middle_of_a_segment() -> TakeWindow:
    take = window("64k", "32k", "128k")
    play(take, (0, 0), (3, 3))
    return take


def long_running() -> TakeWindow:
    take = window("64k", "32k", segments=30)
    play(take, (1_000_000, 0), (1_000_040, 2))
    return take


def gaps() -> TakeWindow:
    take = window("64k", "32k")
    play(take, (0, 0), (8, 2))
    for name in take.renditions:
        take.put_gap(name, 8)
        take.put_gap(name, 9)
    play(take, (10, 0), (11, 1))
    return take


def last_is_a_gap() -> TakeWindow:
    take = window("64k", "32k")
    play(take, (0, 0), (8, 2))
    for name in take.renditions:
        take.put_gap(name, 8)
    return take


def hostile_chapters() -> TakeWindow:
    take = window("64k", "32k")
    for index, title in enumerate(HOSTILE):
        take.put_event(TakeEvent(index * SEGMENT, 0, "chapter", title=title))
        take.put_event(TakeEvent(index * SEGMENT + 100, 1, "speakers", speakers=(title, "Ann")))
    play(take, (0, 0), (len(HOSTILE) + 1, 1))
    return take


def ended_short() -> TakeWindow:
    take = hostile_chapters()
    take.end(take.grid.stop_sample(Position(len(HOSTILE) + 1, 0)))
    return take


def ended_after_a_gap() -> TakeWindow:
    take = last_is_a_gap()
    take.end(take.grid.stop_sample(Position(8, 4)))
    return take


def many_parts() -> TakeWindow:
    take = window(parts=10)
    play(take, (0, 0), (9, 7))
    return take


def one_part() -> TakeWindow:
    take = window(parts=1)
    play(take, (0, 0), (9, 0))
    return take


STATES: tuple[Callable[[], TakeWindow], ...] = (
    first_segment,
    middle_of_a_segment,
    long_running,
    gaps,
    last_is_a_gap,
    hostile_chapters,
    ended_short,
    ended_after_a_gap,
    many_parts,
    one_part,
)
