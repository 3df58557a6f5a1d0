"""What Redis runs for us in one step: scripts, called by their digest and loaded where they are not known."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple


class Script(NamedTuple):
    """A script's text, and the digest that Redis knows it by."""

    text: bytes
    sha: str


def _script(name: str) -> Script:
    text = files(__package__).joinpath(name).read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


APPEND: Final = _script("append.lua")
ASSERT: Final = _script("assert.lua")
CLAIM: Final = _script("claim.lua")
LOOK: Final = _script("look.lua")
RELEASE: Final = _script("release.lua")
RENEW: Final = _script("renew.lua")
