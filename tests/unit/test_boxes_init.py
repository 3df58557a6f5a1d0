import pytest

from contracts.errors import MalformedMedia
from contracts.take import Rendition, TakeSettings
from pipeline.aac import _open
from pipeline.boxes import InitBox, init_segment, read_init
from pipeline.boxes.audio_config import audio_specific_config

HEADER_64K_MONO = bytes.fromhex(
    # ftyp: major iso6; iso6, cmfc, caac, mp41
    "00000020 66747970 69736f36 00000000 69736f36 636d6663 63616163 6d703431"
    # moov, mvhd: timescale 48000, duration 0, rate 1, volume 1, unity matrix, next track 2
    "00000237 6d6f6f76 0000006c 6d766864 00000000 00000000 00000000 0000bb80 00000000"
    "00010000 0100 0000 00000000 00000000"
    "00010000 00000000 00000000 00000000 00010000 00000000 00000000 00000000 40000000"
    "00000000 00000000 00000000 00000000 00000000 00000000 00000002"
    # trak, tkhd: flags 7, track 1, volume 1
    "0000019b 7472616b 0000005c 746b6864 00000007 00000000 00000000 00000001 00000000 00000000"
    "00000000 00000000 0000 0000 0100 0000"
    "00010000 00000000 00000000 00000000 00010000 00000000 00000000 00000000 40000000 00000000 00000000"
    # mdia, mdhd: timescale 48000, language und
    "00000137 6d646961 00000020 6d646864 00000000 00000000 00000000 0000bb80 00000000 55c4 0000"
    # hdlr: soun, "Longwave"
    "00000029 68646c72 00000000 00000000 736f756e 00000000 00000000 00000000 4c6f6e6777617665 00"
    # minf, smhd; dinf and dref with one url: self-contained
    "000000e6 6d696e66 00000010 736d6864 00000000 00000000"
    "00000024 64696e66 0000001c 64726566 00000000 00000001 0000000c 75726c20 00000001"
    # stbl, stsd, mp4a: 1 channel, 16 bits, 48000.0
    "000000aa 7374626c 0000005e 73747364 00000000 00000001"
    "0000004e 6d703461 000000000000 0001 00000000 00000000 0001 0010 00000000 bb800000"
    # esds: ES 0; 0x40, audio, buffer 768, at most 80000 bit/s, 64000 on average; 1188 56e500; predefined 2
    "0000002a 65736473 00000000 03 1c 0000 00 04 14 40 15 000300 00013880 0000fa00 05 05 118856e500 06 01 02"
    # stts, stsc, stsz, stco: empty
    "00000010 73747473 00000000 00000000 00000010 73747363 00000000 00000000"
    "00000014 7374737a 00000000 00000000 00000000 00000010 7374636f 00000000 00000000"
    # mvex, trex: track 1, description 1, duration 1024, depends on no other sample
    "00000028 6d766578 00000020 74726578 00000000 00000001 00000001 00000400 00000000 02000000"
)
MONO = TakeSettings(1)


def test_header_byte_for_byte() -> None:
    assert init_segment(MONO, Rendition("64k")) == HEADER_64K_MONO


def test_header_is_read_back() -> None:
    assert read_init(HEADER_64K_MONO) == InitBox(channels=1, bit_rate=64_000)
    assert read_init(init_segment(TakeSettings(2), Rendition("128k"))) == InitBox(2, 128_000)


@pytest.mark.parametrize("channels", [1, 2])
def test_decoder_configuration_is_the_encoders_own(channels: int) -> None:
    assert audio_specific_config(channels) == _open(channels, 64_000).extradata


def test_header_cut_off_anywhere_is_malformed() -> None:
    for length in range(len(HEADER_64K_MONO)):
        with pytest.raises(MalformedMedia):
            read_init(HEADER_64K_MONO[:length])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"cmfc", b"cmfx", "cmfc"),
        (b"mp4a", b"Opus", "mp4a"),
        (b"trak", b"free", "trak"),
        (b"mvex", b"free", "mvex"),
        (b"stts", b"stsd", "stsd"),
        (b"\x40\x15", b"\x20\x11", "MPEG-4 audio"),
        (b"\x00\x01\x00\x10", b"\x00\x03\x00\x10", "3 channels"),
        (b"tkhd", b"edts", "edit list"),
        (bytes.fromhex("bb800000000055c4"), bytes.fromhex("ac440000000055c4"), "timescale"),
    ],
)
def test_header_of_something_else_is_malformed(old: bytes, new: bytes, reason: str) -> None:
    assert old in HEADER_64K_MONO
    with pytest.raises(MalformedMedia, match=reason):
        read_init(HEADER_64K_MONO.replace(old, new))
