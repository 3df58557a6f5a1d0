"""Files of tests in an order in which workers are busy to the end."""

from tests.side_by_side import order_of_files

FILES = [f"tests/{where}/test_{n:02}.py" for where in ("unit", "integration", "e2e") for n in range(20)]


def order(files: list[str]) -> list[str]:
    places = order_of_files(files)
    return sorted(files, key=lambda file: (places[file], file))


def test_what_waits_stands_beside_what_counts() -> None:
    begun = order(FILES)
    for first in range(0, 36, 6):
        assert {file.split("/")[1] for file in begun[first : first + 6]} == {"unit", "integration", "e2e"}


def test_no_browser_begins_at_the_end() -> None:
    begun = order(FILES)
    assert not [file for file in begun[-15:] if "/e2e/" in file]
    assert {file.split("/")[1] for file in begun[-6:]} == {"unit"}


def test_it_is_the_same_however_files_were_found() -> None:
    assert order(FILES) == order(FILES[::-1])
