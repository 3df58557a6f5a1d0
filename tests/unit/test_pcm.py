import numpy as np
import pytest

from pipeline.pcm import from_bytes, remix, silence, to_bytes, to_planar


def test_bytes_are_little_endian_and_interleaved() -> None:
    pcm = from_bytes(b"\x01\x00\xff\xff\x00\x80\xff\x7f", 2)
    assert pcm.tolist() == [[1, -1], [-32768, 32767]]
    assert to_bytes(pcm) == b"\x01\x00\xff\xff\x00\x80\xff\x7f"


@pytest.mark.parametrize(("data", "channels"), [(b"\x00", 1), (b"\x00\x00\x00", 1), (b"\x00\x00", 2)])
def test_bytes_that_end_inside_a_sample_are_refused(data: bytes, channels: int) -> None:
    with pytest.raises(ValueError, match=r"buffer size|reshape"):
        from_bytes(data, channels)


def test_planes_hold_every_sample_value_exactly() -> None:
    pcm = np.arange(-32768, 32768, dtype=np.int16).reshape(-1, 2)
    planes = to_planar(pcm)
    assert planes.shape == (2, 32768)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    assert np.array_equal(planes.T * 32768, pcm)
    assert float(planes.min()) == -1.0


def test_mono_becomes_stereo_by_doubling() -> None:
    assert remix(np.array([[5], [-7]], np.int16), 2).tolist() == [[5, 5], [-7, -7]]


def test_stereo_becomes_mono_by_the_mean_rounded_to_even() -> None:
    stereo = np.array([[2, 4], [0, 1], [1, 2], [-1, 0], [-2, -1], [32767, 32767], [-32768, -32768]], np.int16)
    assert remix(stereo, 1)[:, 0].tolist() == [3, 0, 2, 0, -2, 32767, -32768]


def test_what_has_the_right_channels_already_is_left_alone() -> None:
    pcm = silence(3, 2)
    assert remix(pcm, 2) is pcm
