"""What a run gave, as JSON for programs: seconds, bytes and counts."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from longwave.load.plan import Plan, without_token
from longwave.load.tally import Tally

HONEST_LAG_SECONDS: Final = 0.05
"""A crowd that acts later than this in one of a hundred cases measures itself."""


def report(plan: Plan, tally: Tally, *, seconds: float, cpu: float, complete: bool) -> dict[str, Any]:
    """The result of `seconds` of listening; `cpu` in seconds of all processes of listeners."""
    counts, options = tally.counts, plan.options
    stalls = tally.time("stall")
    lag = {name: tally.time(f"lag.{name}").summary() for name in ("requests", "loop")}
    late = max(each["p99"] or 0.0 for each in lag.values())
    return {
        "plan": {
            "url": without_token(options.url),
            "listeners": options.listeners,
            "low_latency": plan.found.target.low_latency,
            "tiers": options.tiers,
            "arrive": plan.rate,
            "stay": options.stay,
            "seconds": options.seconds,
            "processes": plan.processes,
            "source_addresses": len(plan.sources) or 1,
            "hold_back": plan.found.hold_back,
        },
        "complete": complete,
        "seconds": round(seconds, 3),
        "honest": late <= HONEST_LAG_SECONDS,
        "schedule_lag": lag,
        "cpu_seconds": round(cpu, 3),
        "listeners": {name: counts[name] for name in ("arrived", "tuned_in", "left", "finished", "retuned")},
        "tune_in": {**tally.time("tune_in").summary(), "abandoned": counts["abandoned.tune_in"]},
        "rebuffering": {
            "listeners": counts["rebuffered"],
            "count": counts["stalls"],
            "seconds": round(stalls.total / 1e6, 3),
            "each": stalls.summary(),
            "unheard_listeners": counts["unheard_listeners"],
            "unheard_seconds": {why: round(seconds, 3) for why, seconds in unheard(tally).items()},
        },
        "distance": tally.time("distance").summary(),
        "distance_measured_by": (
            "EXT-X-PROGRAM-DATE-TIME of what is heard, against the clock of this machine"
            if plan.found.target.same_clock
            else "EXT-X-PROGRAM-DATE-TIME of what is heard, against the server's clock as Date fields tell it"
        ),
        "requests": _by_kind(tally.under("status")),
        "requests_a_second": round(sum(tally.under("status").values()) / seconds, 1) if seconds else 0.0,
        "bytes": tally.under("bytes"),
        "errors": _by_kind(tally.under("error")),
        "latency": {
            kind: {**times, "abandoned": counts[f"abandoned.{kind}"]}
            for kind, times in tally.times_under("latency").items()
        },
        "release": {
            "after_sound": tally.times_under("release.after_sound"),
            "after_first": tally.times_under("release.after_first"),
        },
        "media": {name: counts[name] for name in ("gaps", "jumps", "skipped")},
        "reopened_connections": counts["reopened"],
        "moves": tally.under("move"),
        "flaps": counts["flaps"],
        "servers": _by_server(tally),
    }


def requests(tally: Tally) -> int:
    """Answers that came, whatever they said."""
    return sum(tally.under("status").values())


def errors(tally: Tally) -> int:
    """Everything that went wrong."""
    return sum(tally.under("error").values())


def unheard(tally: Tally) -> dict[str, float]:
    """Seconds of silence where pieces were `gaps`, or were `skipped` because they could not be had."""
    return {why: tally.time(f"unheard.{why}").total / 1e6 for why in ("gaps", "skipped")}


def _by_kind(flat: dict[str, int]) -> dict[str, dict[str, int]]:
    """`{"part.200": 3}` as `{"part": {"200": 3}}`."""
    found: dict[str, dict[str, int]] = {}
    for name, count in flat.items():
        kind, _, what = name.partition(".")
        found.setdefault(kind, {})[what] = count
    return found


def _by_server(tally: Tally) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for name, count in tally.under("server").items():
        server, _, what = name.rpartition(".")
        found.setdefault(server, Counter())[what] = count
    return {server: dict(counts) for server, counts in found.items()}
