"""What docs/sending.md tells people to type is typed, all at once into one room, and heard in the HLS."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.decode import decode_pcm
from tests import programs
from tests.audio import RATE
from tests.documented import Command, commands, files
from tests.server import Server

PAGE: Final = "sending.md"
ROOM: Final = "friday"
SECRET: Final = "0123456789abcdef" * 2
# None is another's harmonic, and all lie where speech does.
TONES_HZ: Final = (440.0, 710.0, 1130.0, 1700.0, 2300.0)
# Seconds of HLS in which they have to sound together.
HEARD: Final = 2
# A tone is sent at -18 dBFS; levels of voices are evened, and encoding costs next to nothing of a tone.
AUDIBLE_DBFS: Final = -40.0


def port_of_udp() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: str, directory: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A shell in a process group of its own, all of which ends here; what it says is in `said`."""
    with (directory / "said").open("ab") as said:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=directory,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def sine(path: Path, hertz: float) -> None:
    """Two minutes, for ffmpeg to read as it would an MP3."""
    sound = ["-f", "lavfi", "-i", f"sine=frequency={hertz}:sample_rate={RATE}:duration=120", "-b:a", "128k"]
    subprocess.run([programs.path("ffmpeg"), "-v", "error", *sound, str(path)], check=True)


def decibels(pcm: NDArray[np.float64], hertz: float) -> float:
    """The level of a sine of that frequency in `pcm`, shape (n,), in dBFS."""
    window = np.hanning(len(pcm))
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(pcm)) / RATE)
    return float(20 * np.log10(2 * abs(np.sum(pcm * window * turn)) / np.sum(window) + 1e-9))


def newest(server: Server, directory: Path) -> NDArray[np.float64]:
    """The last seconds that a listener of the room got, shape (n,); empty while there are not enough."""
    playlist = server.media_playlist(ROOM, "64k")
    segments = [line for line in playlist.splitlines() if line.endswith(".m4s")][-HEARD // 2 - 1 :]
    if len(segments) < HEARD // 2 + 1:
        return np.zeros(0)
    take = re.search(r"([0-9TZ]+-[a-z2-7]{6})/64k", server.get(f"/live/{ROOM}/index.m3u8").text)
    assert take
    answers = [server.get(f"/live/{ROOM}/{take[1]}/64k/{name}").body for name in ("init.mp4", *segments)]
    (path := directory / "heard.mp4").write_bytes(b"".join(answers))
    return np.concatenate(list(decode_pcm(path, 1)))[-HEARD * RATE :, 0] / 32_768


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "data", env={"LONGWAVE_TOKEN": SECRET}) as server:
        yield server


@pytest.mark.needs("ffmpeg", "curl")
def test_what_the_page_says_is_heard(server: Server, tmp_path: Path) -> None:
    asked = commands(PAGE)
    assert len(asked) == 3
    with contextlib.ExitStack() as stack:
        for number, command in enumerate(asked):
            directory = tmp_path / f"person{number}"
            directory.mkdir()
            sine(directory / "talk.mp3", TONES_HZ[number])
            for name, text in files(PAGE).items():
                (directory / name).write_text(text)
            stack.enter_context(sender(server, directory, f"Person{number}", command))

        def missing() -> list[float]:
            pcm = newest(server, tmp_path)
            tones = TONES_HZ[: len(asked)]
            return [tone for tone in tones if not len(pcm) or decibels(pcm, tone) < AUDIBLE_DBFS]

        try:
            server.wait_for(lambda: not missing(), seconds=60)
        except AssertionError:
            said = [(path.parent.name, path.read_text()[-1000:]) for path in tmp_path.glob("person*/said")]
            pytest.fail(f"not heard: {missing()} Hz of {TONES_HZ}; what was said: {said}")
        people = server.get(f"/rooms/{ROOM}", {"Authorization": f"Bearer {SECRET}"}).json["live"]["speakers"]
        assert sorted(one["name"] for one in people) == [f"Person{number}" for number in range(len(asked))]


@contextlib.contextmanager
def sender(server: Server, directory: Path, name: str, command: Command) -> Iterator[None]:
    """Somebody who copied `command` off the page; where it takes RTP, beside an SFU that sends it."""
    env = {
        "SERVER": server.url,
        "ROOM": ROOM,
        "NAME": name,
        "TOKEN": SECRET,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }
    with contextlib.ExitStack() as stack:
        if "rtp" in command.programs:
            port = str(port_of_udp())
            description = directory / "voice.sdp"
            description.write_text(description.read_text().replace("5002", port))
            stack.enter_context(
                running(
                    f"{programs.path('ffmpeg')} -v error -re -i talk.mp3 -c:a libopus -ar 48000 -ac 2 "
                    f"-payload_type 111 -f rtp rtp://127.0.0.1:{port}",
                    directory,
                    env,
                )
            )
        stack.enter_context(running(command.text, directory, env))
        yield
