"""Ten minutes from `ffmpeg -re | curl` to a listener, by sample; LONGWAVE_SOAK_SECONDS makes it shorter."""

import os
from pathlib import Path

import pytest

from tests.soak.line import assert_whole, run_line

SECONDS = int(os.environ.get("LONGWAVE_SOAK_SECONDS", "600"))


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.needs("ffmpeg", "curl")
def test_ten_minutes_come_out_as_they_went_in(tmp_path: Path) -> None:
    result = run_line(tmp_path, SECONDS)
    print("\n" + result.report())  # noqa: T201 - `make soak` is read by people
    assert_whole(result)
