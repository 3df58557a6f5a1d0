"""Takes that fail again and again are let alone: they get gaps, and nothing happens to the others."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.segmenter import EncodedPart, Segmenter
from tests.publishing import KEY, MemoryOrigin
from tests.takes import EPOCH_US
from tests.waiting import until
from workers import transcoder as transcoder_module
from workers.backoff import Backoff
from workers.breadcrumbs import Crash, crumb_frame, parse_trace
from workers.memory_bus import MemoryHub
from workers.publisher import Publisher
from workers.quarantine import FAILURES, Crashes, Failures, Quarantine, survey_crashes
from workers.redis_bus import keys
from workers.transcoder_pool import TranscoderPool

SEGMENT = 96_000
HEADER = TakeHeader(EPOCH_US, TakeSettings(), "f")
OTHER = TakeKey("other", KEY.take)


@pytest.fixture(autouse=True)
def own_handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fatal signals here stay pytest's to handle: the processes that crash are others."""
    files: list[int] = []
    monkeypatch.setattr(faulthandler, "enable", lambda *file: files.extend(file))
    yield
    for file in files:
        os.close(file)


def survey(directory: Path, later: float = 0.0) -> Crashes:
    return survey_crashes(directory, time.monotonic() + later)


# ------------------------------------------------------------------ what a process leaves that dies


# A process that surveys a directory, and ends while it encodes KEY and OTHER in a thread each.
DYING = f"""
import ctypes, os, resource, signal, sys, threading, time
from pathlib import Path
from typing import ClassVar
from contracts.take import TakeKey
from workers.breadcrumbs import crumb_frame
from workers.quarantine import survey_crashes

def encode_well():
    busy.wait()
    time.sleep(60)

def encode_badly():
    exec(sys.argv[2])

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
survey_crashes(Path(sys.argv[1]), time.monotonic())
busy = threading.Barrier(2)
well, badly = crumb_frame(TakeKey{tuple(OTHER)!r}), crumb_frame(TakeKey{tuple(KEY)!r})
threading.Thread(target=well, args=[encode_well], daemon=True).start()
busy.wait()
thread = threading.Thread(target=badly, args=[encode_badly])
thread.start()
thread.join()
"""


def die(directory: Path, how: str) -> int:
    """Run such a process; the signal that ended it."""
    command = [sys.executable, "-c", DYING, str(directory), how]
    ended = subprocess.run(command, timeout=30, check=False, capture_output=True)
    assert ended.returncode < 0, ended.stderr.decode()
    return -ended.returncode


SEGV = "ctypes.string_at(0)"
ABRT = "os.abort()"
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
TERM = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"
ELSEWHERE = "signal.pthread_kill(threading.main_thread().ident, signal.SIGABRT); time.sleep(30)"


@pytest.mark.parametrize(
    ("how", "died", "takes"),
    [
        (SEGV, signal.SIGSEGV, (KEY,)),
        (ABRT, signal.SIGABRT, (KEY,)),
        (KILL, signal.SIGKILL, ()),
        (TERM, signal.SIGTERM, ()),
    ],
)
def test_a_crash_is_counted_for_the_take_whose_thread_crashed_and_a_kill_for_none(
    tmp_path: Path, how: str, died: int, takes: tuple[TakeKey, ...]
) -> None:
    assert die(tmp_path, how) == died
    found = survey(tmp_path)
    assert found.takes == takes
    assert set(found.counted) == set(takes)


def test_a_crash_in_another_thread_is_counted_for_each_take_that_was_being_encoded(tmp_path: Path) -> None:
    assert die(tmp_path, ELSEWHERE) == signal.SIGABRT
    assert set(survey(tmp_path).takes) == {KEY, OTHER}


def test_three_crashes_make_a_quarantine_and_kills_between_them_add_nothing(tmp_path: Path) -> None:
    for how in (SEGV, KILL, ABRT, KILL, SEGV):
        # Each process counts what the one before it died of.
        counted = survey(tmp_path).counted
        assert not quarantine(counted=counted).holds(KEY)
        die(tmp_path, how)
    counted = survey(tmp_path).counted
    assert counted[KEY].count == FAILURES
    assert quarantine(counted=counted).holds(KEY)
    assert not quarantine(counted=counted).holds(OTHER)
    assert survey(tmp_path).counted == counted
    assert survey(tmp_path, later=keys.EXPIRES_SECONDS).counted == {}


def quarantine(
    counted: Mapping[TakeKey, Failures] | None = None, elsewhere: Callable[[TakeKey], bool] = lambda _: False
) -> Quarantine:
    metrics = Metrics(CollectorRegistry())
    return Quarantine(metrics, time.monotonic, counted=dict(counted or {}), elsewhere=elsewhere)


def test_a_crash_is_logged_with_its_cause_and_its_stack(tmp_path: Path) -> None:
    die(tmp_path, SEGV)
    with capture_logs() as logs:
        survey(tmp_path)
    (entry,) = (entry for entry in logs if entry["event"] == "the last process crashed")
    assert entry["log_level"] == "error"
    assert entry["cause"] == "Segmentation fault"
    assert entry["encoding"] == [f"{KEY.room}/{KEY.take}"]
    assert "string_at" in entry["stack"]


def test_a_directory_that_cannot_be_written_to_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = survey(tmp_path / "file")
    assert found.takes == ()


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"a/b": [1, 2]}', b'{"room": 3}', b"\xff"])
def test_a_count_that_cannot_be_read_stops_nobody(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "crashes").mkdir()
    (tmp_path / "crashes" / "failures.json").write_bytes(damage)
    assert survey(tmp_path).counted == {}


def test_a_trace_that_is_torn_names_what_is_whole() -> None:
    text = 'Fatal Python error: Bus error\n\nCurrent thread 0x1f (most recent call first):\n  File "x", li'
    assert parse_trace(text) == Crash("Bus error", (), text[text.index("Current") :])
    assert parse_trace("") is None


def test_what_runs_in_a_crumb_frame_gives_and_raises_what_it_would() -> None:
    frame = crumb_frame(KEY)
    assert frame(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        frame(lambda: 1 // 0)


# ------------------------------------------------------------------ what becomes of a take that fails


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_failures_are_forgotten_some_minutes_after_the_last() -> None:
    clock = Clock()
    held = Quarantine(Metrics(CollectorRegistry()), clock)
    for _ in range(FAILURES):
        assert not held.holds(KEY)
        held.failed(KEY)
        clock.now += keys.EXPIRES_SECONDS - 1
    assert held.holds(KEY)
    clock.now += 1
    assert not held.holds(KEY)
    held.failed(KEY)
    assert not held.holds(KEY)


def test_failures_from_before_the_machine_was_started_again_are_forgotten() -> None:
    """The monotonic clock begins anew then, so that they seem to lie in the future."""
    assert not quarantine(counted={KEY: Failures(FAILURES, time.monotonic() + 1000)}).holds(KEY)


def test_what_other_nodes_counted_counts_here() -> None:
    there = {KEY}
    held = quarantine(elsewhere=lambda key: key in there)
    assert held.holds(KEY)
    assert not held.holds(OTHER)
    there.clear()
    assert not held.holds(KEY)


def test_a_quarantine_is_said_once_and_shown_as_long_as_it_lasts() -> None:
    clock, metrics = Clock(), Metrics(CollectorRegistry())
    held = Quarantine(metrics, clock, counted={KEY: Failures(FAILURES, clock.now)})

    def shown() -> float | None:
        return metrics.registry.get_sample_value("longwave_takes_quarantined")

    with capture_logs() as logs:
        for _ in range(5):
            assert held.holds(KEY)
        assert KEY.room in str(held.degraded)
        assert shown() == 1
        clock.now += keys.EXPIRES_SECONDS
        assert not held.holds(KEY)
    assert [entry["log_level"] for entry in logs] == ["error", "warning"]
    assert not shown()
    assert KEY.room not in str(held.degraded)


def test_a_take_that_leaves_this_node_is_shown_no_more() -> None:
    held = quarantine(counted={KEY: Failures(FAILURES, time.monotonic())})
    assert held.holds(KEY)
    held.release(KEY)
    assert held.degraded is None


class Failing(Segmenter):
    """Cannot encode what is loud."""

    loud = 20_000

    def push(self, pcm: NDArray[np.int16]) -> list[EncodedPart]:
        if len(pcm) and np.abs(pcm.astype(int)).max() > self.loud:
            raise RuntimeError("the encoder fails")
        return super().push(pcm)


class Watched(Segmenter):
    """Notes in which frame it is called."""

    frames: ClassVar[set[tuple[str, str]]] = set()

    def push(self, pcm: NDArray[np.int16]) -> list[EncodedPart]:
        self.frames.add(("push", sys._getframe(1).f_code.co_name))
        return super().push(pcm)

    def finish(self) -> list[EncodedPart]:
        self.frames.add(("finish", sys._getframe(1).f_code.co_name))
        return super().finish()


class Process:
    """Hub, publisher and pool with a quarantine whose time the test moves."""

    def __init__(self) -> None:
        self.clock, self.metrics = Clock(), Metrics(CollectorRegistry())
        self.reported: list[TakeKey] = []
        self.quarantine = Quarantine(self.metrics, self.clock, report=self.reported.append)
        # What is said at once is all held, however slow this machine is.
        self.hub, self.origin = MemoryHub(sound_held=60 * 48_000), MemoryOrigin()
        self.publisher = Publisher([self.origin], self.metrics)
        self.pool = TranscoderPool(
            self.hub, self.publisher, self.metrics, threads=2, quarantine=self.quarantine
        )
        self.pool.start()

    def reached(self, key: TakeKey) -> int:
        """The segment that a take is in at the origin; 0 where there is none of it."""
        take = self.origin.takes.get(key)
        return 0 if take is None else take.renditions["64k"].next.msn

    def say(self, key: TakeKey, pcm: NDArray[np.int16]) -> None:
        """The next segment of a take."""
        bus = self.hub.open(key, HEADER)
        bus.append(bus.top, pcm.tobytes())


@pytest.fixture
async def process(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    monkeypatch.setattr(transcoder_module, "Segmenter", Failing)
    monkeypatch.setattr(transcoder_module, "Backoff", lambda: Backoff(first=0.001, longest=0.001))
    running = Process()
    yield running
    await running.pool.stop()
    await running.publisher.stop(grace=0)


async def test_encoders_run_in_a_frame_that_is_named_after_their_take(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcoder_module, "Segmenter", Watched)
    process.say(KEY, noise(9000))
    process.hub.open(KEY, HEADER).end(SEGMENT)
    await until(lambda: process.hub.live() == ())
    name = f"take {KEY.room}/{KEY.take}"
    # What `finish` pushes itself is in its frame.
    assert Watched.frames - {("push", "finish")} == {("push", name), ("finish", name)}


def noise(amplitude: int) -> NDArray[np.int16]:
    return np.random.default_rng(2).integers(-amplitude, amplitude, (SEGMENT, 1)).astype("<i2")


async def test_a_take_that_cannot_be_encoded_gets_gaps_until_it_is_tried_again(process: Process) -> None:
    quiet, loud = noise(9000), noise(30_000)
    for key in (KEY, OTHER):
        process.say(key, quiet)
        process.say(key, quiet)
    await until(lambda: process.reached(KEY) == 1)
    for _ in range(FAILURES):
        process.say(KEY, loud)
        process.say(OTHER, quiet)
    await until(lambda: process.quarantine.degraded is not None)
    assert process.reported == [KEY] * FAILURES
    failures = process.metrics.registry.get_sample_value("longwave_take_failures_total")
    # Quiet sound could be encoded now; it is not tried.
    for _ in range(2):
        before = process.reached(KEY)
        process.say(KEY, quiet)
        process.say(OTHER, quiet)
        await until(lambda before=before: process.reached(KEY) > before)  # type: ignore[misc]
    process.hub.open(KEY, HEADER).append_event(
        TakeEvent(process.hub.open(KEY, HEADER).top, 0, "chapter", title="Back")
    )
    process.clock.now += keys.EXPIRES_SECONDS
    process.say(KEY, quiet)
    process.say(OTHER, quiet)
    await until(lambda: process.quarantine.degraded is None)
    for _ in range(3):
        process.say(KEY, quiet)
        process.say(OTHER, quiet)
    end = process.hub.open(KEY, HEADER).top
    for key in (KEY, OTHER):
        process.hub.open(key, HEADER).end(end)
    await until(lambda: process.hub.live() == ())
    assert failures == process.metrics.registry.get_sample_value("longwave_take_failures_total")
    windows = {key: process.origin.takes[key] for key in (KEY, OTHER)}
    assert [window.end_samples for window in windows.values()] == [end, end]
    assert "Back" in windows[KEY].media_playlist("64k")
    lost = windows[KEY].renditions["64k"].gaps
    assert lost == tuple(range(min(lost), max(lost) + 1))
    assert FAILURES + 2 <= len(lost) < windows[KEY].renditions["64k"].next.msn - 2
    assert windows[OTHER].renditions["64k"].gaps == ()


async def test_a_take_in_quarantine_ends_as_every_other_does(process: Process) -> None:
    process.say(KEY, noise(9000))
    process.say(KEY, noise(9000))
    await until(lambda: process.reached(KEY) == 1)
    for _ in range(FAILURES):
        process.say(KEY, noise(30_000))
    await until(lambda: process.quarantine.degraded is not None)
    bus = process.hub.open(KEY, HEADER)
    bus.append_silence(bus.top, SEGMENT // 2)
    bus.end(bus.top)
    await until(lambda: process.hub.live() == ())
    assert process.origin.ended() == bus.top
    await until(lambda: process.quarantine.degraded is None)
