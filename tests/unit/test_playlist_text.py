from fractions import Fraction
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.playlist.text import date_time, decimal, quoted, seconds, units


@pytest.mark.parametrize(
    ("frames", "text"),
    [(94, "2.00533"), (93, "1.98400"), (19, "0.40533"), (18, "0.38400"), (10, "0.21333"), (1, "0.02133")],
)
def test_durations_have_five_decimals(frames: int, text: str) -> None:
    assert seconds(frames) == text


@given(st.integers(0, 1_000))
def test_a_duration_is_the_exact_one_rounded_to_the_nearest_10_us(frames: int) -> None:
    assert abs(Fraction(seconds(frames)) - Fraction(frames * 1024, 48_000)) <= Fraction(1, 200_000)


@given(st.integers(1, 100), st.integers(1, 100))
def test_rounding_never_makes_a_part_longer_than_a_longer_target(part: int, target: int) -> None:
    if part <= target:
        assert Fraction(seconds(part)) <= Fraction(seconds(target))


def test_units_are_written_with_leading_zeros() -> None:
    assert decimal(units(0)) == "0.00000"
    assert decimal(100_007) == "1.00007"


def test_dates_are_utc_with_milliseconds_rounded_down() -> None:
    assert date_time(1_767_225_600_000_000, 0) == "2026-01-01T00:00:00.000Z"
    assert date_time(1_767_225_600_123_456, 48) == "2026-01-01T00:00:00.124Z"
    assert date_time(1_767_225_600_000_999, 47) == "2026-01-01T00:00:00.001Z"
    assert date_time(0, 48_000 * 86_400) == "1970-01-02T00:00:00.000Z"


def test_plain_text_stays_readable() -> None:
    assert quoted("Über uns, Teil 2 – 日本 🎙️") == '"Über uns, Teil 2 – 日本 🎙️"'


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('say "hi"', '"say %22hi%22"'),
        ("don't", '"don%27t"'),
        ("100 %", '"100 %25"'),
        ("a\r\nb\x00\x7f\x85", '"a%0D%0Ab%00%7F%C2%85"'),
        ("{$secret}", '"%7B$secret}"'),
        ("line\u2028paragraph\u2029", '"line%E2%80%A8paragraph%E2%80%A9"'),
        ("\ufeffmark", '"%EF%BB%BFmark"'),
        ("\ud800half", '"\ufffdhalf"'),
        ("e\u0301", '"\u00e9"'),
    ],
)
def test_what_a_playlist_cannot_hold_is_percent_encoded(text: str, written: str) -> None:
    assert quoted(text) == written


@given(st.text())
def test_any_text_is_one_line_of_utf8_and_comes_back(text: str) -> None:
    written = quoted(text)
    assert len(written.splitlines()) == 1
    assert not {'"', "'", "{"} & {*written[1:-1]}
    assert written.encode().decode() == written
    # What the encoder leaves alone it also finds unchanged: decoded text encodes to the same.
    assert quoted(unquote(written[1:-1])) == written
