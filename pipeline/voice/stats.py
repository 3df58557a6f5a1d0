"""What became of one voice's packets, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class VoiceStats:
    """Counters of packets and of samples, and two gauges. All are integers."""

    packets: int = 0
    """Packets that were handed in, of whatever kind."""
    lost: int = 0
    """Packets that were not there when they were due."""
    recovered: int = 0
    """Lost packets that the FEC of the next one stood in for."""
    late: int = 0
    """Packets that came after something else was played for them, or after their stream was replaced."""
    duplicate: int = 0
    """Packets that came more than once."""
    invalid: int = 0
    """Packets whose payload is not Opus; those are lost as well."""
    jumps: int = 0
    """Leaps of RTP time, sequence or source that were bridged."""
    concealed: int = 0
    """Samples that were made up between packets; not those after which the voice rested."""
    cut: int = 0
    """Samples that were spliced out because the voice was late."""
    skipped: int = 0
    """Samples that were never played because they were far too late, or too many."""
    delay: int = 0
    """Samples from the arrival of the packet that is played to its first sample leaving."""
    target: int = 0
    """What a packet's first sample is delayed by after the quickest packet's arrival, in samples."""
