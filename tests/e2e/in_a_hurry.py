"""Runs Longwave as it is, but with listeners who ask every second where to listen, and calm after two.

`python tests/e2e/in_a_hurry.py PYTHON -m longwave serve …`: in the place of `PYTHON -m longwave serve …`.
"""

import runpy
import sys
from unittest.mock import patch

from contracts.listeners import Tier

if __name__ == "__main__":
    _, _python, _m, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    with (
        patch("origin.tiers.CALM_SECONDS", 2.0),
        patch("origin.http_listen._ASK_AGAIN", dict.fromkeys(Tier, 1)),
    ):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
