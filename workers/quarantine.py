"""Takes that cannot be encoded are let alone for a while, so that they hurt no other take.

Three failures make a quarantine: a segment that was given up, a task of the take that failed otherwise, a
process that died of a fatal signal while it encoded the take (`workers.breadcrumbs`). They are
forgotten `FORGOTTEN_SECONDS` after the last of them: then the take is tried again. Each node counts for
itself, in memory and, what took its process down, in a file; and all nodes together in Redis
(`workers.cluster.failure_reports`), so that a take does not go from worker to worker and end them one by one.
There failures have to be of two nodes, or crashes: one worker that can encode nothing condemns no take.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import DiskUnavailable, LongwaveError
from contracts.take import TakeKey, parse_take_name, take_name
from storage.aside import write_atomic
from storage.files import read_if_there
from workers.breadcrumbs import catch_crashes, last_crash

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from contracts.metrics import Metrics

log = structlog.get_logger()

FAILURES: Final = 3
"""So many failures make a quarantine."""
FORGOTTEN_SECONDS: Final = 600
"""So long after the last failure they count no more."""
_FILE: Final = "failures.json"


@dataclass(frozen=True, slots=True)
class Failures:
    """How many there were of one take; `last` is the monotonic instant of the newest, in seconds."""

    count: int
    last: float

    def fresh(self, now: float) -> bool:
        """Whether they still count. An instant to come is one before the machine was started again."""
        return 0 <= now - self.last < FORGOTTEN_SECONDS


class Quarantine:
    """Who is in quarantine on this node. For one event loop; `clock` is monotonic, the same in all processes.

    `counted` is what was counted before this process; `elsewhere` says whether a take failed too often on all
    nodes together, `report` tells them.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        counted: dict[TakeKey, Failures] | None = None,
        elsewhere: Callable[[TakeKey], bool] = lambda _: False,
        report: Callable[[TakeKey], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._counted = {} if counted is None else counted
        self._elsewhere = elsewhere
        self._report = report
        self._held: set[TakeKey] = set()
        metrics.takes_quarantined.set_function(lambda: len(self._held))

    @property
    def degraded(self) -> str | None:
        """In how many rooms there are gaps, or None. Which they are is for the log to say."""
        rooms = len({key.room for key in self._held})
        return f"quarantine: encoding failed again and again, in rooms: {rooms}" if rooms else None

    def failed(self, key: TakeKey) -> None:
        """Count one failure of a take, here and elsewhere."""
        count_failures(self._counted, [key], self._clock())
        self._report(key)

    def holds(self, key: TakeKey) -> bool:
        """Whether a take is not to be encoded now. Its beginning and its end are logged, once."""
        failures = self._counted.get(key)
        here = failures.count if failures is not None and failures.fresh(self._clock()) else 0
        too_often = here >= FAILURES or self._elsewhere(key)
        if too_often and key not in self._held:
            self._held.add(key)
            log.error("a take is in quarantine: it gets gaps", room=key.room, take=key.take, here=here)
        elif not too_often and key in self._held:
            self._held.discard(key)
            log.warning("a take leaves quarantine: it is encoded again", room=key.room, take=key.take)
        return key in self._held

    def release(self, key: TakeKey) -> None:
        """A take is over, or somebody else's: it gets no gaps from this node. Its failures still count."""
        self._held.discard(key)


def count_failures(counted: dict[TakeKey, Failures], failed: Iterable[TakeKey], now: float) -> None:
    """Add one failure each, and drop what is forgotten by now."""
    for key in [key for key, failures in counted.items() if not failures.fresh(now)]:
        del counted[key]
    for key in failed:
        before = counted.get(key)
        counted[key] = Failures(1 if before is None else before.count + 1, now)


@dataclass(frozen=True, slots=True)
class Crashes:
    """What a node knows of crashes when it starts: the takes of the last one, and all that still count."""

    takes: Collection[TakeKey]
    counted: dict[TakeKey, Failures]


def survey_crashes(data_dir: Path, now: float) -> Crashes:
    """Count what the last process died of, and write down what this one may die of, in `data_dir`. Blocks.

    To be called once a process, before anything is encoded. On a disk that does not work, crashes before the
    last one are not counted.
    """
    directory = data_dir / "crashes"
    crash = last_crash(directory)
    takes = () if crash is None else crash.takes
    counted = _load(directory / _FILE)
    count_failures(counted, takes, now)
    # Counted first: what a process leaves that is killed between the two counts twice, rather than never.
    try:
        _save(directory / _FILE, counted)
    except DiskUnavailable as error:
        log.warning("crashes cannot be counted", reason=error.message)
    catch_crashes(directory)
    return Crashes(takes, counted)


def _load(path: Path) -> dict[TakeKey, Failures]:
    try:
        rows = json.loads(read_if_there(path) or b"{}")
        return {
            parse_take_name(name): Failures(int(count), float(last)) for name, (count, last) in rows.items()
        }
    except (LongwaveError, ValueError, TypeError, AttributeError, RecursionError) as error:
        log.warning("the count of crashes cannot be read", path=str(path), reason=str(error))
        return {}


def _save(path: Path, counted: dict[TakeKey, Failures]) -> None:
    rows = {take_name(key): (failures.count, failures.last) for key, failures in counted.items()}
    write_atomic(path, json.dumps(rows).encode() + b"\n")
