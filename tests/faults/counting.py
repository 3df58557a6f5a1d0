"""Counts what an archive holds of a take, sample by sample, and compares it with what listeners received.

It reads the archived bytes by itself, and trusts `take.json` in nothing.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.take import TakeKey
from storage.names import (
    DERIVED,
    INIT,
    RECORD,
    REPLAY_M4A,
    entry_name,
    fragment_name,
    open_name,
    piece_name,
    take_object,
)
from storage.objects import Objects
from tests.audio import RATE, best_lag
from tests.mp4_walk import Mp4
from tests.soak.hearing import Pcm, decode
from tests.soak.recorder import Recording

FRAME = 1024
# Behind a beginning in the middle, a decoder lacks what the frame before would have overlapped with.
_LEAD_IN = 2 * FRAME
_COMPARED = 20 * RATE
# The noise that AAC makes up instead of sending it depends on how long a decoder has been running.
_SAME_DB = 30.0


@dataclass(frozen=True)
class Counted:
    """What there is of a take. `held` counts the samples that all renditions have, `lost` the others."""

    samples: int
    held: int
    lost: int
    served: int
    archived: int
    compared: int
    reasons: Mapping[str, int]

    def summary(self) -> str:
        """One line for people."""
        reasons = ", ".join(f"{samples} {why!r}" for why, samples in self.reasons.items()) or "none"
        return (
            f"{self.served} parts served, {self.archived} archived; "
            f"{self.samples} samples = {self.held} held + {self.lost} in gaps ({reasons}); "
            f"{self.compared} samples heard again"
        )


@dataclass(frozen=True)
class _Part:
    frames: int
    data: bytes


def count(
    objects: Objects, key: TakeKey, recordings: Sequence[Recording], *, given_up: str | None = None
) -> Counted:
    """See that a finished take has all that was served, that its gaps are all it lacks, and its file's sound.

    Only what is in a gap for the reason `given_up` may have been served and lost.
    """
    commit = json.loads(objects.read(take_object(key, RECORD)).data)
    archived = {name: _archived(objects, key, name, commit) for name in commit["renditions"]}
    excused = [range(gap["from"], gap["to"]) for gap in commit["gaps"] if gap["why"] == given_up]
    served = sum(_check_served(each, archived[each.rendition], excused) for each in recordings)
    missing = ~np.logical_and.reduce([_held(parts, commit["samples"]) for parts in archived.values()])
    in_gaps = np.zeros(commit["samples"], bool)
    reasons: dict[str, int] = {}
    for gap in commit["gaps"]:
        assert 0 <= gap["from"] < gap["to"] <= commit["samples"], gap
        assert not in_gaps[gap["from"] : gap["to"]].any(), f"{gap} is in two gaps"
        in_gaps[gap["from"] : gap["to"]] = True
        reasons[gap["why"]] = reasons.get(gap["why"], 0) + gap["to"] - gap["from"]
    wrong = np.flatnonzero(missing != in_gaps)
    assert not wrong.size, f"{wrong.size} samples from {wrong[0]} on are neither held nor in a gap, or both"
    return Counted(
        commit["samples"],
        int(np.sum(~missing)),
        int(np.sum(missing)),
        served,
        sum(map(len, archived.values())),
        _listen(objects, key, commit, archived, recordings),
        reasons,
    )


def assert_nothing_is_left(objects: Objects, key: TakeKey, data_dir: Path) -> None:
    """A take that is finished has its entry, and nobody has anything to do with it any more."""
    assert objects.head(entry_name(key)) is not None
    assert objects.head(take_object(key, DERIVED)) is not None
    assert objects.head(open_name(key)) is None
    assert not (data_dir / "spool" / key.room / key.take).exists()


def _archived(objects: Objects, key: TakeKey, rendition: str, commit: Mapping[str, Any]) -> dict[int, _Part]:
    """The parts by their first frame, from exactly the fragments that the take says it has."""
    records = commit["fragments"][rendition]
    prefix = take_object(key, f"{rendition}/")
    there = {info.name for info in objects.list(prefix) if info.name[len(prefix)].isdigit()}
    names = [
        piece_name(key, rendition, record["msn"], record["sha256"])
        if record.get("joined")
        else fragment_name(key, rendition, record["msn"])
        for record in records
    ]
    assert there == {*names}
    parts: dict[int, _Part] = {}
    for name, record in zip(names, records, strict=True):
        data = objects.read(name).data
        assert (len(data), sha256(data).hexdigest()) == (record["bytes"], record["sha256"])
        for first_frame, part in _parts_in(data):
            assert record["msn"] <= first_frame * FRAME // 96_000 < record["msn"] + 15
            assert first_frame not in parts
            parts[first_frame] = part
    return parts


def _parts_in(data: bytes) -> list[tuple[int, _Part]]:
    """First frame and part, one after the other: each a `moof` with its `mdat`, and nothing else."""
    found = []
    at = 0
    while at < len(data):
        assert data[at + 4 : at + 8] == b"moof", at
        body = at + int.from_bytes(data[at : at + 4], "big")
        assert data[body + 4 : body + 8] == b"mdat", body
        stop = body + int.from_bytes(data[body : body + 4], "big")
        assert stop <= len(data)
        tfdt, trun = data.index(b"tfdt", at, body), data.index(b"trun", at, body)
        assert data[tfdt + 4] == 1, "a time of 64 bits"
        time = int.from_bytes(data[tfdt + 8 : tfdt + 16], "big")
        assert time % FRAME == 0
        frames = int.from_bytes(data[trun + 8 : trun + 12], "big")
        found.append((time // FRAME, _Part(frames, data[at:stop])))
        at = stop
    return found


def _check_served(recording: Recording, archived: Mapping[int, _Part], excused: Sequence[range]) -> int:
    """Every part that a listener got is archived, byte for byte; how many there are."""
    received = b"".join([*recording.parts.values(), *recording.segments.values()])
    served = {first_frame: part.data for first_frame, part in _parts_in(received)}
    absent = [frame for frame in served if frame not in archived]
    lost = [frame for frame in absent if not any(frame * FRAME in gap for gap in excused)]
    assert not lost, f"{recording.rendition}: served and not archived: frames {lost}"
    other = [frame for frame in archived.keys() & served if archived[frame].data != served[frame]]
    assert not other, f"{recording.rendition}: served otherwise than archived: frames {other}"
    return len(served)


def _held(parts: Mapping[int, _Part], samples: int) -> NDArray[np.bool_]:
    held = np.zeros(samples, bool)
    for first_frame, part in parts.items():
        piece = held[first_frame * FRAME : (first_frame + part.frames) * FRAME]
        assert not piece.any(), f"frame {first_frame} is archived twice"
        piece[:] = True
    return held


# ---- what it sounds like -----------------------------------------------------------------------------------


def _listen(
    objects: Objects,
    key: TakeKey,
    commit: Mapping[str, Any],
    archived: Mapping[str, dict[int, _Part]],
    recordings: Sequence[Recording],
) -> int:
    """The file has what is archived, decodes to the take's length, and sounds as what was received live.

    How many samples were compared with that.
    """
    best = commit["renditions"][-1]
    file = objects.read(take_object(key, REPLAY_M4A)).data
    _check_units(file, commit["samples"], archived[best])
    with tempfile.TemporaryDirectory(prefix="replay") as directory:
        replay = _decoded(Path(directory) / "replay.m4a", file)
        # To the sample by its edit list; ffmpeg takes that to the end of the frame.
        assert 0 <= len(replay) - commit["samples"] < FRAME
        init = objects.read(take_object(key, f"{best}/{INIT}")).data
        compared = 0
        for recording in recordings:
            if recording.rendition == best:
                assert recording.init == init
                compared += _compare(Path(directory) / "live.mp4", replay, recording, archived[best])
        return compared


def _check_units(file: bytes, samples: int, archived: Mapping[int, _Part]) -> None:
    """The file's sound is the archived frames; one access unit before them is for the decoder."""
    walked = Mp4(file)
    units = walked.sample_bytes(0)[1:]
    assert walked.tracks[0].edits == ((samples, FRAME),)
    assert len(units) == -(-samples // FRAME)
    for first_frame, part in archived.items():
        mine = b"".join(units[first_frame : first_frame + part.frames])
        # The last part of a take may reach beyond its end.
        assert mine
        assert part.data[part.data.index(b"mdat") + 4 :].startswith(mine)


def _compare(path: Path, replay: Pcm, recording: Recording, archived: Mapping[int, _Part]) -> int:
    """The longest stretch that a listener received, and that is archived, sounds the same in the replay."""
    stretches: list[list[bytes]] = [[]]
    firsts = [0]
    reached = 0
    received = {
        first_frame: part
        for first_frame, part in _parts_in(b"".join(recording.parts.values()))
        if first_frame in archived
    }
    for first_frame, part in sorted(received.items()):
        if first_frame != reached:
            stretches.append([])
            firsts.append(first_frame)
        stretches[-1].append(part.data)
        reached = first_frame + part.frames
    longest = max(range(len(stretches)), key=lambda each: sum(map(len, stretches[each])))
    live = _decoded(path, recording.init + b"".join(stretches[longest]))[_LEAD_IN:]
    start = firsts[longest] * FRAME + _LEAD_IN
    heard = replay[start : start + min(len(live), _COMPARED)]
    found = best_lag(live[: len(heard)], heard)
    assert found.lag == 0, f"{found.lag} samples late from sample {start} on"
    assert found.snr_db > _SAME_DB, f"other sound from sample {start} on: {found.snr_db:.1f} dB"
    return len(heard)


def _decoded(path: Path, data: bytes) -> Pcm:
    path.write_bytes(data)
    try:
        return decode(path)
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"ffmpeg cannot decode {path.name}: {error.stderr[-2000:]}") from error
