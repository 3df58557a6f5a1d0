"""The VCL of an edge, as it is written."""

from pathlib import Path

import pytest

from infra.edge.options import Address, EdgeOptions
from infra.edge.varnish import configuration as vcl


def test_a_running_edge_keeps_the_files_that_it_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = EdgeOptions(listen=Address("::1", 1), origins=(Address("a", 2),), directory=tmp_path, name="e")
    before = vcl.configuration(options)
    assert (vcl._HERE / "recv.vcl").read_text() in before
    # As if another version had been unpacked.
    monkeypatch.setattr(vcl, "_HERE", tmp_path)
    assert vcl.configuration(options) == before
