import math
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.take import TakeKey
from workers.cluster.node import Node
from workers.cluster.placement import Placing, place

FINGERPRINT, OTHER = "aaaa", "bbbb"


def takes(count: int, encoder: str = FINGERPRINT) -> list[Placing]:
    return [Placing(TakeKey(f"room{n}", "20260131T200000Z-abc234"), encoder) for n in range(count)]


def worker(name: str, *, capacity: int = 2, encoder: str = FINGERPRINT, draining: bool = False) -> Node:
    return Node(name, frozenset({"worker"}), capacity=capacity, encoder=encoder, draining=draining)


def workers(count: int) -> list[Node]:
    return [worker(f"w{n}") for n in range(count)]


def load(placed: dict[TakeKey, tuple[str, ...]]) -> Counter[str]:
    return Counter(name for names in placed.values() for name in names)


def moved(before: dict[TakeKey, tuple[str, ...]], after: dict[TakeKey, tuple[str, ...]]) -> int:
    return sum(len(set(after[key]) - set(names)) for key, names in before.items())


_crews = st.lists(
    st.builds(
        worker,
        st.sampled_from([f"host-{n}" for n in range(12)]),
        capacity=st.integers(1, 64),
        encoder=st.sampled_from([FINGERPRINT, OTHER, "cccc"]),
        draining=st.booleans(),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda node: node.id,
)


@given(_crews, st.integers(0, 60), st.integers(1, 3))
def test_every_take_gets_as_many_different_workers_as_there_are(
    crew: Sequence[Node], count: int, redundancy: int
) -> None:
    staying = {node.id for node in crew if not node.draining} or {node.id for node in crew}
    for names in place(takes(count), crew, redundancy).values():
        assert len(names) == len(set(names)) == min(redundancy, len(staying))
        assert set(names) <= staying


@given(_crews, st.integers(0, 60), st.integers(1, 2), st.randoms(use_true_random=False))
def test_the_order_in_which_nodes_see_each_other_changes_nothing(
    crew: list[Node], count: int, redundancy: int, random: Random
) -> None:
    some = takes(count)
    expected = place(some, crew, redundancy)
    random.shuffle(crew)
    random.shuffle(some)
    assert place(some, crew, redundancy) == expected


@given(_crews, st.integers(0, 100))
def test_nobody_has_more_than_a_bit_over_the_fair_share(crew: Sequence[Node], count: int) -> None:
    staying = [node for node in crew if not node.draining] or crew
    total = sum(node.capacity for node in staying)
    there = load(place(takes(count), crew, 1))
    for node in staying:
        assert there[node.id] <= max(1, math.ceil(1.15 * count * node.capacity / total))


@given(_crews, st.integers(1, 40), st.integers(2, 3))
def test_workers_of_one_take_are_alike_wherever_so_many_are(
    crew: Sequence[Node], count: int, redundancy: int
) -> None:
    staying = {node.id: node for node in crew if not node.draining} or {node.id: node for node in crew}
    kinds = Counter(node.encoder for node in staying.values())
    if max(kinds.values()) >= redundancy:
        for names in place(takes(count), crew, redundancy).values():
            assert len({staying[name].encoder for name in names}) == 1


@pytest.mark.parametrize("redundancy", [1, 2])
def test_load_is_even_and_follows_capacity(redundancy: int) -> None:
    crew = [worker("big", capacity=8), *(worker(f"small{n}", capacity=2) for n in range(6))]
    there = load(place(takes(400), crew, redundancy))
    for node in crew:
        fair = 400 * redundancy * node.capacity / 20
        assert 0.8 * fair <= there[node.id] <= math.ceil(1.15 * fair)


@pytest.mark.parametrize("redundancy", [1, 2])
def test_few_takes_move_when_a_worker_goes_or_comes(redundancy: int) -> None:
    crew, some = workers(10), takes(500)
    fair = 500 * redundancy / 10
    whole = place(some, crew, redundancy)
    for gone in crew:
        rest = place(some, [node for node in crew if node is not gone], redundancy)
        # What the one that goes had must move; those that were crowded out of their place move back.
        assert moved(whole, rest) <= 1.2 * fair
        assert moved(rest, whole) <= 1.2 * fair


def test_few_takes_move_when_takes_come_and_go() -> None:
    crew, some = workers(10), takes(500)
    whole = place(some, crew, 1)
    fewer = place(some[:450], crew, 1)
    assert moved(fewer, whole) <= 5


def test_equal_encoders_are_preferred_as_far_as_they_have_room() -> None:
    crew = [*workers(4), *(worker(f"x{n}", encoder=OTHER) for n in range(4))]
    some = [*takes(10), *(Placing(TakeKey(f"other{n}", "t"), OTHER) for n in range(10))]
    placed = place(some, crew, 1)
    for take in some:
        (name,) = placed[take.key]
        assert name.startswith("x") == (take.encoder == OTHER)
    # Half of the machines cannot have all of the takes.
    there = load(place(takes(40), crew, 1))
    assert all(1 <= there[node.id] <= 6 for node in crew)


def test_two_alike_are_better_than_one_like_the_header() -> None:
    crew = [worker("only", encoder=OTHER), worker("one"), worker("two")]
    placed = place([Placing(TakeKey("room", "t"), OTHER)], crew, 2)
    assert set(placed[TakeKey("room", "t")]) == {"one", "two"}


def test_who_drains_gets_nothing_unless_all_do() -> None:
    crew = [worker("a"), worker("b", draining=True)]
    assert set(load(place(takes(10), crew, 2))) == {"a"}
    assert set(load(place(takes(10), crew[1:], 2))) == {"b"}


def test_without_workers_nothing_is_placed() -> None:
    assert place(takes(2), [], 2) == {take.key: () for take in takes(2)}


def test_places_are_the_same_on_every_machine() -> None:
    placed = place(takes(8), workers(3), 2)
    assert [" ".join(placed[take.key]) for take in takes(8)] == [
        "w0 w2",
        "w1 w0",
        "w0 w1",
        "w2 w0",
        "w2 w1",
        "w2 w0",
        "w0 w1",
        "w0 w1",
    ]


@pytest.mark.parametrize("redundancy", [1, 2])
def test_a_take_that_failed_at_a_worker_goes_to_others_first(redundancy: int) -> None:
    crew = [*workers(3), worker("odd", encoder=OTHER)]
    (take,) = takes(1)
    (before,) = place([take], crew, redundancy).values()
    failed = {before[0]: 1}
    (after,) = place([Placing(take.key, take.encoder, failed)], crew, redundancy).values()
    assert before[0] not in after
    failed = dict.fromkeys((node.id for node in workers(3)), 2) | {before[0]: 1}
    (again,) = place([Placing(take.key, take.encoder, failed)], workers(3), redundancy).values()
    assert again[0] == before[0], "where it failed everywhere, where it failed least"
