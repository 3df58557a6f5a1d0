"""The command line: `longwave.commands` put together, and errors as lines on stderr."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final

import typer

from contracts.errors import DiskUnavailable, LongwaveError, UsageError
from longwave.commands import operators, replays, roles, tools

# A file or a device that takes what is printed, and takes no more. A pipe that ends is typer's.
_NO_OUTPUT: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

app = typer.Typer(
    name="longwave",
    help="Live audio rooms as HLS and Low-Latency HLS that any CDN can carry.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for group in (roles.app, tools.app, operators.app):
    app.add_typer(group)
app.add_typer(replays.app, name="replay")
app.add_typer(operators.rooms, name="rooms")


def main() -> None:
    """Run a command: an error is one line on stderr. Exit codes: 2 for a wrong use, 1 for a failure."""
    try:
        app()
    except UsageError as error:
        _complain(error, 2)
    except LongwaveError as error:
        _complain(error, 1)
    except OSError as error:
        if error.errno not in _NO_OUTPUT or error.filename is not None:
            raise
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _complain(DiskUnavailable(f"what was to be said could not be written: {error.strerror}"), 1)


def _complain(error: LongwaveError, code: int) -> None:
    print(f"longwave: {error.message}", file=sys.stderr)  # noqa: T201 - this is the command line
    raise SystemExit(code) from None
