"""What a program says on its standard error, passed on without what is nobody's business."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from typing import IO, Final

_LAST_WORDS_SECONDS: Final = 1.0


class Saying:
    """Passes on each line to our standard error in which `unsaid` is not found, from now on until the end."""

    def __init__(self, said: IO[bytes], unsaid: re.Pattern[str]) -> None:
        # Whoever inherited the program's standard error may outlive it: nobody waits for that.
        self._thread = threading.Thread(target=_pass_on, args=(said, unsaid), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Return once all is passed on of a program that has ended, or after a second."""
        self._thread.join(_LAST_WORDS_SECONDS)


def _pass_on(said: IO[bytes], unsaid: re.Pattern[str]) -> None:
    for line in said:
        text = line.decode(errors="replace")
        if not unsaid.search(text):
            # Where nobody reads us any more, the program is still to be read: it would stand still.
            with contextlib.suppress(OSError):
                sys.stderr.write(text)
                sys.stderr.flush()
