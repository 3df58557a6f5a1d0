"""In which order files of tests begin, when several workers take them one after another."""

from collections import defaultdict
from pathlib import PurePath

# Up to which place in the order the files of a directory stand: browsers, which wait, beside arithmetic,
# which does not; and at the end what is short, so that all workers end together.
BEGUN = {"e2e": 0.5, "faults": 0.5, "integration": 0.7}


def order_of_files(files: list[str]) -> dict[str, float]:
    """The place of each of these paths, from 0 to 1: each directory's are spread evenly."""
    directories: dict[str, list[str]] = defaultdict(list)
    for file in sorted(set(files)):
        directories[PurePath(file).parent.name].append(file)
    return {
        file: BEGUN.get(directory, 1.0) * place / len(inside)
        for directory, inside in directories.items()
        for place, file in enumerate(inside)
    }
