"""What a process says of itself in its heartbeats."""

from __future__ import annotations

import os
import platform
import re
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from contracts.cores import available_cores
from contracts.metrics import Metrics
from longwave.recent import RecentQuantile
from workers.cluster.node import Node

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# Shorter ones say more of the moment than of the process.
_LOAD_SECONDS: Final = 2.0
_OWN: Final = re.compile(r"[0-9a-f]{8}")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.-]")
_LONGEST_HOST: Final = 48


class SelfReport:
    """Who this process is and how it does; asked for a `Node` with every heartbeat.

    What only its roles know is set by them: `carrying`, `listeners` and `out_of_reach` (of all origins) are
    asked, `url` and `draining` are as they are at the moment.
    """

    def __init__(self, node_id: str, roles: Iterable[str], metrics: Metrics, *, encoder: str = "") -> None:
        self.url = ""
        self.draining = False
        self.carrying: Callable[[], frozenset[str]] = frozenset
        self.listeners: Callable[[], int] = lambda: 0
        self.out_of_reach: Callable[[], bool] = lambda: False
        self._id = node_id
        self._roles = frozenset(roles)
        self._encoder = encoder
        self._latency = RecentQuantile(metrics.part_latency, 0.99)
        self._born = time.monotonic()
        self._load = 0.0
        self._looked = (self._born, time.process_time())

    @property
    def encoder(self) -> str:
        """The encoder's fingerprint, "" where nothing is encoded."""
        return self._encoder

    @property
    def id(self) -> str:
        """The node's id."""
        return self._id

    def __call__(self) -> Node:
        """As it is now."""
        now = time.monotonic()
        latency = self._latency.at(now)
        cut_off = self.out_of_reach()
        return Node(
            id=self._id,
            roles=self._roles,
            url=self.url,
            encoder=self._encoder,
            draining=self.draining or cut_off,
            # Who leaves is no failure, whatever it reaches.
            cut_off=cut_off and not self.draining,
            carrying=self.carrying(),
            capacity=available_cores(),
            load=self._busy_cores(now),
            memory=_resident(),
            latency_ms=None if latency is None else round(latency * 1000, 1),
            listeners=self.listeners(),
            version=version("longwave"),
            started_s=round(now - self._born, 1),
        )

    def _busy_cores(self, now: float) -> float:
        """Cores that this process kept busy lately."""
        since, spent = self._looked
        if now - since >= _LOAD_SECONDS:
            cpu = time.process_time()
            self._load = round((cpu - spent) / (now - since), 3)
            self._looked = (now, cpu)
        return self._load


def node_id(data_dir: Path) -> str:
    """The id of the node whose data directory this is: the same after a restart, new where it has none.

    A restarted worker gets the same takes again, as long as nobody else has taken them up. The host's name is
    in it, so that machines made of one image differ, and people know which one is meant.
    """
    path = data_dir / "node"
    try:
        own = path.read_text().strip()
    except OSError:
        own = ""
    if not _OWN.fullmatch(own):
        own = secrets.token_hex(4)
        with suppress(OSError):  # a full disk costs the id's memory, not the node
            path.write_text(own + "\n")
    host = _NOT_IN_NAMES.sub("-", platform.node())[:_LONGEST_HOST]
    return f"{host or 'node'}-{own}"


def _resident() -> int:
    """Bytes of memory that are this process' own (proc_pid_statm(5))."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
