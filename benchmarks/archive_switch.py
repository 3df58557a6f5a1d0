"""A `longwave` that keeps nothing of what is said, or one that writes down how long its encoders wait for it.

`python -m benchmarks.archive_switch off|FILE PYTHON -m longwave …` becomes that server. When it ends, FILE
has the seconds of each `TakeArchive.keep`, a line each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from longwave.cli import main
from workers.archive.archiver import Archiver
from workers.archive.take_archive import TakeArchive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.pcm import Pcm
    from pipeline.segmenter import EncodedPart

OFF: Final = "off"


@contextmanager
def _timed(file: Path) -> Iterator[None]:
    keep, waited = TakeArchive.keep, []

    def timed(archive: TakeArchive, parts: Sequence[EncodedPart], start: int, pcm: Pcm) -> None:
        began = time.perf_counter()
        keep(archive, parts, start, pcm)
        # Without a part nothing is written, and nobody waits.
        if parts:
            waited.append(time.perf_counter() - began)

    with patch.object(TakeArchive, "keep", timed):
        try:
            yield
        finally:
            file.write_text("".join(f"{seconds:.7f}\n" for seconds in waited))


def _switched(how: str) -> AbstractContextManager[object]:
    return patch.object(Archiver, "open", return_value=None) if how == OFF else _timed(Path(how))


if __name__ == "__main__":
    _, _how, *_rest = sys.argv
    sys.argv = _rest[_rest.index("longwave") :]
    with _switched(_how):
        main()
