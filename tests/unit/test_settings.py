"""Settings that other parts of the server rely on."""

from __future__ import annotations

import pytest

from contracts.errors import UsageError
from contracts.take import MAX_SPEAKERS_IN_EVENT, TakeEvent
from longwave.settings import ServeSettings, load_settings


def test_all_who_may_be_in_a_room_can_be_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nobody would be told who speaks, just when most do."""
    monkeypatch.setenv("LONGWAVE_MAX_SPEAKERS", str(MAX_SPEAKERS_IN_EVENT))
    most = load_settings(ServeSettings, {}).max_speakers
    event = TakeEvent(0, 0, "speakers", speakers=tuple(f"Speaker {number}" for number in range(most)))
    assert TakeEvent.from_json(event.id, event.to_json()) == event
    monkeypatch.setenv("LONGWAVE_MAX_SPEAKERS", str(MAX_SPEAKERS_IN_EVENT + 1))
    with pytest.raises(UsageError, match="LONGWAVE_MAX_SPEAKERS"):
        load_settings(ServeSettings, {})
