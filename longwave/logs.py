"""Logs: one event a line on stderr, in colour for a person and as JSON for a machine."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


def configure_logs(level: str, style: str) -> None:
    """Set up logging for the process; `style` is auto (by terminal), console or json."""
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        # Rich's tracebacks would show local variables: tokens, and audio.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if as_json else _keep,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _LossyStderr())),
        cache_logger_on_first_use=True,
    )
    # What libraries have to say: aiohttp on a malformed request, asyncio on a slow callback.
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )


class _LossyStderr(io.TextIOBase):
    """Stderr that never fails: where it is a file on a full disk, a line is lost and not the room."""

    def write(self, text: str) -> int:
        """Write, if it can be written."""
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if it can be flushed."""
        with suppress(OSError):
            sys.stderr.flush()


def _keep(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
