"""A short round of `make soak`: what goes in over PCM comes out over HLS, by sample."""

from pathlib import Path

import pytest

from tests.soak.line import LineResult, assert_whole, run_line

# A machine that tests in parallel may starve ffmpeg or curl for longer than the 200 ms that are buffered.
ATTEMPTS = 3


@pytest.mark.timeout(40 * ATTEMPTS)
@pytest.mark.needs("ffmpeg", "curl")
def test_a_piped_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    assert_whole(_sent_in_real_time(tmp_path))


def _sent_in_real_time(directory: Path) -> LineResult:
    """The first round for which this machine had the time, or the last one."""
    for attempt in range(ATTEMPTS):
        (place := directory / str(attempt)).mkdir()
        result = run_line(place, 7)
        if result.starved == 0:
            break
    return result
