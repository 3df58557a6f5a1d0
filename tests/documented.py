"""Commands and files as a page of the docs shows them, so that tests run what readers copy.

A fenced block counts where an HTML comment stands before it: `<!-- run: PROGRAM… -->` is a command and the
programs that it takes, `<!-- file: NAME -->` what is saved under that name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

DOCS: Final = Path(__file__).parent.parent / "docs"
_BLOCK: Final = re.compile(r"^<!-- (run|file): ([^\n]+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """`text` is for a shell; `programs` are what it takes."""

    text: str
    programs: tuple[str, ...]


def commands(page: str) -> list[Command]:
    """Those of `docs/{page}` that are to be run, in their order."""
    return [Command(text, tuple(words.split())) for kind, words, text in _blocks(page) if kind == "run"]


def files(page: str) -> dict[str, str]:
    """What `docs/{page}` says to save, by its name."""
    return {words: text for kind, words, text in _blocks(page) if kind == "file"}


def _blocks(page: str) -> list[tuple[str, str, str]]:
    return _BLOCK.findall((DOCS / page).read_text())
