from __future__ import annotations

import pytest
from multidict import MultiDict

from contracts.errors import BadDirective
from origin.directives import Directives, parse_directives
from pipeline.playlist import Skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([], Directives()),
        ([("_HLS_msn", "0")], Directives(0)),
        ([("_HLS_msn", "12"), ("_HLS_part", "3")], Directives(12, 3)),
        ([("_HLS_msn", "012")], Directives(12)),
        ([("_HLS_skip", "YES")], Directives(skip=Skip.YES)),
        ([("_HLS_skip", "v2"), ("_HLS_msn", "1")], Directives(1, skip=Skip.V2)),
        ([("other", "x"), ("other", "y"), ("_HLS_primary_id", "z")], Directives()),
    ],
)
def test_directives_are_read(query: list[tuple[str, str]], expected: Directives) -> None:
    assert parse_directives(MultiDict(query)) == expected


@pytest.mark.parametrize("text", ["", " 1", "1 ", "+1", "-1", "1.0", "1e3", "٣", "0x1", "1_0", "9" * 19])
@pytest.mark.parametrize("name", ["_HLS_msn", "_HLS_part"])
def test_only_whole_numbers_are_numbers(name: str, text: str) -> None:
    with pytest.raises(BadDirective, match=name):
        parse_directives(
            MultiDict([("_HLS_msn", "1"), (name, text)] if name == "_HLS_part" else [(name, text)])
        )


@pytest.mark.parametrize("name", ["_HLS_msn", "_HLS_part", "_HLS_skip"])
def test_a_directive_stands_once(name: str) -> None:
    with pytest.raises(BadDirective, match="once"):
        parse_directives(MultiDict([(name, "1"), (name, "1")]))


@pytest.mark.parametrize("text", ["", "yes", "V2", "v1", "NO", "YES "])
def test_a_delta_update_of_another_kind_cannot_be_had(text: str) -> None:
    with pytest.raises(BadDirective, match="YES or v2"):
        parse_directives(MultiDict([("_HLS_skip", text)]))


def test_a_part_needs_its_segment() -> None:
    with pytest.raises(BadDirective, match="_HLS_msn"):
        parse_directives(MultiDict(_HLS_part="1"))
