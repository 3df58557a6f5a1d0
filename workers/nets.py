"""What goes wrong with one take stays with it: loops over many takes have a net under each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from contracts.errors import LongwaveError
from contracts.take import TakeKey
from workers.complaints import Complaints

log = structlog.get_logger()


class Net:
    """Catches unexpected errors, which are bugs of ours: each is counted, and told of once a take.

    `what` is its line in the log; `count` is called with each.
    """

    def __init__(self, what: str, count: Callable[[], object] = lambda: None) -> None:
        self._what = what
        self._count = count
        self._complaints = Complaints()

    @contextmanager
    def under(self, key: TakeKey) -> Iterator[None]:
        """While something is done with this take. Errors that are expected go on to whoever expects them."""
        try:
            yield
        except LongwaveError:
            raise
        except Exception:
            self._count()
            if self._complaints.admit(key):
                log.exception(self._what, room=key.room, take=key.take)
