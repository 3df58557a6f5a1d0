"""The judge of the long runs: what is whole passes, and each way of being broken shows in its own figure."""

from pathlib import Path

import numpy as np
import pytest

from contracts.take import Rendition, TakeSettings
from pipeline.boxes import init_segment
from pipeline.segmenter import Segmenter
from tests.soak.hearing import Pcm, decode, known_sound, listen
from tests.soak.line import MEDIAN_MARGIN_DB, WORST_MARGIN_DB
from tests.soak.playlist import parse

BIT_RATE = 64_000
LEAD = 9_723  # samples of silence before the sound


@pytest.fixture(scope="module")
def source() -> Pcm:
    return known_sound(12)


@pytest.fixture(scope="module")
def recording(source: Pcm, tmp_path_factory: pytest.TempPathFactory) -> Pcm:
    settings = TakeSettings(renditions=(Rendition("64k"),))
    segmenter = Segmenter(settings, 0)
    pcm = np.concatenate((np.zeros(LEAD - segmenter.needs, np.int16), source))
    parts = segmenter.push(pcm[:, np.newaxis]) + segmenter.finish()
    file: Path = tmp_path_factory.mktemp("hearing") / "take.mp4"
    file.write_bytes(init_segment(settings, Rendition("64k")) + b"".join(part.data for part in parts))
    return decode(file)


@pytest.mark.needs("ffmpeg")
def test_a_whole_recording_is_as_good_as_a_continuous_one(source: Pcm, recording: Pcm) -> None:
    heard = listen(source, recording, BIT_RATE)
    assert (heard.lag, heard.drift, heard.missing_samples, heard.noisy_pauses) == (LEAD, 0, 0, 0)
    assert np.min(heard.margin_db) > WORST_MARGIN_DB
    assert np.median(heard.margin_db) > MEDIAN_MARGIN_DB
    assert len(heard.margin_db) == 24


@pytest.mark.needs("ffmpeg")
def test_a_recording_that_begins_late_is_found_in_its_source(source: Pcm, recording: Pcm) -> None:
    heard = listen(source, recording[96_256:], BIT_RATE, skip=4_800)
    assert (heard.lag, heard.drift) == (LEAD - 96_256, 0)
    assert np.min(heard.margin_db) > WORST_MARGIN_DB
    assert heard.missing_samples == 96_256 + 4_800 - LEAD


@pytest.mark.needs("ffmpeg")
def test_two_milliseconds_of_silence_are_heard(source: Pcm, recording: Pcm) -> None:
    broken = recording.copy()
    loudest = int(np.argmax(np.abs(recording.astype(np.int32))))
    broken[loudest - 48 : loudest + 48] = 0
    assert np.min(listen(source, broken, BIT_RATE).margin_db) < 2 * WORST_MARGIN_DB


@pytest.mark.needs("ffmpeg")
def test_one_lost_sample_is_a_drift_of_one(source: Pcm, recording: Pcm) -> None:
    heard = listen(source, np.delete(recording, 300_000), BIT_RATE)
    assert heard.drift == -1


@pytest.mark.needs("ffmpeg")
def test_an_end_that_was_cut_off_is_missing(source: Pcm, recording: Pcm) -> None:
    assert listen(source, recording[: LEAD + len(source) - 480], BIT_RATE).missing_samples == 480


def test_a_playlist_s_edge_is_what_follows_its_last_part() -> None:
    listed = parse(
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2.00533,\n7.m4s\n#EXT-X-GAP\n#EXTINF:2.00533,\n8.m4s\n"
        '#EXT-X-PART:DURATION=0.38400,URI="9.0.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="9.1.m4s"\n'
    )
    assert (listed.sequence, listed.segments, sorted(listed.gaps)) == (7, (7, 8), [8])
    assert (listed.parts, listed.hint, listed.edge) == (((9, 0),), (9, 1), (9, 1))
    assert not listed.ended


def test_a_playlist_whose_uris_do_not_count_is_refused() -> None:
    with pytest.raises(ValueError, match=r"segment 9\.m4s stands where 8 belongs"):
        parse("#EXT-X-MEDIA-SEQUENCE:7\n7.m4s\n9.m4s\n")
