"""What Redis runs for us in one step: scripts, called by their digest and loaded where they are not known."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple


class Script(NamedTuple):
    """A script's text, and the digest that Redis knows it by."""

    text: bytes
    sha: str


def script_of(package: str, name: str) -> Script:
    """The script in a file of `package`."""
    text = files(package).joinpath(name).read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


APPEND: Final = script_of(__package__, "append.lua")
ASSERT: Final = script_of(__package__, "assert.lua")
