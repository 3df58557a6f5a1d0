"""Playing on without a stall: what a listener hears while something happens that nobody is to hear."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.e2e.latency import lost_and_doubled
from tests.e2e.listener import Listener

_TRIES = 3


def unbroken(
    listeners: Sequence[Listener],
    act: Callable[[], None],
    *,
    at_least: int = 4,
    well: Callable[[Listener], bool] = lambda _: True,
) -> None:
    """Do it without a stall or a lost beep in any ear, and each of them `well`.

    A machine too busy to play gets two more chances.
    """
    for _ in range(_TRIES):
        for listener in listeners:
            listener.hear(0.5)
            listener.forget()
        before = [listener.knows for listener in listeners]
        act()
        listeners[0].hear(0.5)
        went_on = all(_went_on(*each, at_least) for each in zip(listeners, before, strict=True))
        if went_on and all(map(well, listeners)):
            return
    raise AssertionError(f"it stumbles again and again: {[listener.knows for listener in listeners]}")


def _went_on(listener: Listener, before: dict[str, object], at_least: int) -> bool:
    listener.take_in()
    knows, tones = listener.knows, [beep.tone for beep in listener.beeps()]
    assert knows["restarts"] == before["restarts"], f"it began anew: {knows}"
    if knows["stalls"] != before["stalls"] or lost_and_doubled(tones) != (0, 0):
        return False
    assert len(tones) >= at_least, f"{tones}: {knows}"
    return True
