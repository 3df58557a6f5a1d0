"""CMAF boxes (ISO/IEC 14496-12, 14496-14 and 23000-19): one concept a file, the same verbs.

`init_segment` and `write_part` build; `read_init`, `read_part` and `split_parts` read, and raise
MalformedMedia on anything else, however hostile. Bytes depend on settings, frames and access units only:
no clock, no chance.
"""

from pipeline.boxes.fragment import sequence_number, write_part
from pipeline.boxes.init import init_segment
from pipeline.boxes.reader import InitBox, PartBox, access_units, read_init, read_part, split_parts

__all__ = [
    "InitBox",
    "PartBox",
    "access_units",
    "init_segment",
    "read_init",
    "read_part",
    "sequence_number",
    "split_parts",
    "write_part",
]
