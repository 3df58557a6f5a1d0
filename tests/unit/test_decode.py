from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from contracts.errors import UndecodableFile
from pipeline.decode import decode_pcm, duration_samples
from pipeline.pcm import Pcm
from tests.audio import beeps, best_lag, find_beeps, speechlike


def write_wav(path: Path, pcm: Pcm, rate: int = 48_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((pcm.shape[1], 2, rate, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    return path


def write_encoded(path: Path, pcm: Pcm, codec: str, rate: int = 48_000, layout: str = "mono") -> Path:
    """`pcm` (n, channels) as a file of the kind that `path` ends in."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm.reshape(1, -1)), "s16", layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path, channels: int = 1) -> Pcm:
    return np.concatenate(list(decode_pcm(path, channels)))


def mono(seconds: float = 5.0) -> Pcm:
    return speechlike(int(seconds * 48_000), seed=3).reshape(-1, 1)


@pytest.mark.parametrize("channels", [1, 2])
def test_48_khz_pcm_comes_out_as_it_went_in(tmp_path: Path, channels: int) -> None:
    pcm = np.repeat(mono(), channels, axis=1)
    pcm[:, -1] //= 2
    path = write_wav(tmp_path / "x.wav", pcm)
    assert np.array_equal(decoded(path, channels), pcm)
    assert duration_samples(path) == len(pcm)


def test_a_long_file_comes_in_small_chunks(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "x.wav", mono(20))
    chunks = list(decode_pcm(path, 1))
    assert max(map(len, chunks)) <= 24_000
    assert chunks[0].shape[1] == 1
    assert chunks[0].dtype == np.int16


def test_mono_becomes_stereo_and_stereo_mono(tmp_path: Path) -> None:
    left = mono()
    both = decoded(write_wav(tmp_path / "mono.wav", left), 2)
    assert np.array_equal(both[:, 0], both[:, 1])
    stereo = np.concatenate((left, left), axis=1)
    path = write_wav(tmp_path / "stereo.wav", stereo)
    assert np.max(np.abs(decoded(path).astype(int) - left)) <= 1


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 96_000])
def test_other_rates_are_resampled_without_drift(tmp_path: Path, rate: int) -> None:
    pcm = beeps(12.0, rate=rate).reshape(-1, 1)
    heard = find_beeps(decoded(write_wav(tmp_path / "x.wav", pcm, rate))[:, 0])
    assert [beep.tone for beep in heard] == [beep.tone for beep in find_beeps(pcm[:, 0], rate=rate)]
    # Beeps are 48000 samples of the file apart, and found to within a millisecond.
    expected = [index * 48_000 * 48_000 / rate for index in range(len(heard))]
    assert np.max(np.abs(np.array([beep.sample for beep in heard]) - expected)) < 48


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("x.flac", "flac"),
        ("x.m4a", "aac"),
        ("x.mp3", "libmp3lame"),
        ("x.opus", "libopus"),
        ("x.webm", "libopus"),
    ],
)
def test_common_files_are_decoded_where_they_begin(tmp_path: Path, name: str, codec: str) -> None:
    pcm = mono()
    result = decoded(write_encoded(tmp_path / name, pcm, codec))
    match = best_lag(pcm[:, 0], result[:, 0])
    # PyAV's MP4 muxer does not write down what the AAC encoder put before the first sample.
    expected = 1024 if codec == "aac" else 0
    assert abs(match.lag - expected) <= 1
    assert match.snr_db > 10
    assert abs(len(result) - len(pcm)) <= 2048


def test_a_damaged_stretch_is_silence_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    pcm = beeps(20.0).reshape(-1, 1)
    path = write_encoded(tmp_path / "x.opus", pcm, "libopus")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4_000] = bytes(4_000)
    path.write_bytes(data)
    heard = find_beeps(decoded(path)[:, 0])
    assert 12 <= len(heard) < 20, "some are lost, most are there"
    for beep in heard:
        # Within 10 ms: Ogg says the time at the end of a page, a decoder begins anew inside one.
        assert abs(beep.sample - round(beep.sample / 48_000) * 48_000) < 480
    assert heard[-1].sample > 18 * 48_000


def test_a_file_that_is_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    pcm = mono()
    path = write_encoded(tmp_path / "x.flac", pcm, "flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = decoded(path)
    assert 48_000 < len(result) < len(pcm)
    assert np.array_equal(result, pcm[: len(result)])


def test_a_stream_that_changes_its_rate_half_way_goes_on(tmp_path: Path) -> None:
    first = write_encoded(tmp_path / "a.mp3", beeps(4.0).reshape(-1, 1), "libmp3lame").read_bytes()
    pcm = beeps(4.0, rate=24_000, period_samples=24_000).reshape(-1, 1)
    second = write_encoded(tmp_path / "b.mp3", pcm, "libmp3lame", 24_000).read_bytes()
    (tmp_path / "both.mp3").write_bytes(first + second)
    heard = find_beeps(decoded(tmp_path / "both.mp3")[:, 0])
    assert [beep.tone for beep in heard] == [0, 1, 2, 3] * 2


def test_what_cannot_be_decoded_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text.txt").write_text("Nothing to hear.\n" * 100)
    (tmp_path / "noise.bin").write_bytes(np.random.default_rng(0).bytes(5_000))
    # A playlist must lead nowhere, and this one would never end.
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/x.ts\n"
    )
    whole = write_encoded(tmp_path / "x.m4a", mono(), "aac").read_bytes()
    (tmp_path / "cut.m4a").write_bytes(whole[: len(whole) // 2])
    for name in ("missing.wav", "", "empty", "text.txt", "noise.bin", "list.m3u8", "cut.m4a"):
        for read in (lambda path: list(decode_pcm(path, 1)), duration_samples):
            with pytest.raises(UndecodableFile) as raised:
                read(tmp_path / name)
            assert raised.value.message.startswith(str(tmp_path / name))
            assert "\n" not in raised.value.message


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        frame = av.VideoFrame(64, 64, "yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UndecodableFile, match="has no audio stream"):
        list(decode_pcm(tmp_path / "film.mp4", 1))


def test_names_that_look_like_addresses_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "http:x.wav", mono(1.0))
    assert len(decoded(Path("http:x.wav"))) == 48_000
