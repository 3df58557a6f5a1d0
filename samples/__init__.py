"""Short audio that the project makes itself; `make_samples.py` says how."""

from pathlib import Path

# A minute of talk and music, 48 kHz mono, that begins as it ends: made to be looped.
DEMO = Path(__file__).with_name("demo.flac")
