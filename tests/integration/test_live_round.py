"""A short round of `make soak`: what goes in over PCM comes out over HLS, by sample."""

from pathlib import Path

import pytest

from tests.server import Server
from tests.soak.line import assert_whole, run_line


@pytest.mark.needs("ffmpeg", "curl")
def test_a_piped_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        result = run_line(server, tmp_path, 12)
    assert_whole(result)
