"""`longwave edge` beside an edge: it counts who listens there, and tells origins."""

from __future__ import annotations

import importlib.util
import sys

from infra.edge.options import Child, EdgeOptions


def can_count() -> bool:
    """Whether the Python that runs this has Longwave: the edge itself needs none of it."""
    return all(importlib.util.find_spec(name) is not None for name in ("longwave", "aiohttp"))


def counter(options: EdgeOptions, log: str, *more: str) -> Child:
    """Its command line: `log` is where access lines come from, `more` what else it is told.

    Its token comes by the environment (LONGWAVE_TOKEN or LONGWAVE_KEYS), as with every role.
    """
    origins = (
        word for origin in options.told or options.origins for word in ("--origin", f"http://{origin}")
    )
    port = () if options.metrics_port is None else ("--port", str(options.metrics_port))
    argv = (
        sys.executable,
        "-m",
        "longwave",
        "edge",
        "--log",
        log,
        "--name",
        options.name,
        "--tier",
        options.tier,
    )
    return Child("longwave edge", (*argv, *origins, *port, *more))
