"""Ids sort by time and do not repeat."""

from random import Random

from hive.store.ids import ALPHABET, time_ordered


def test_ids_sort_by_the_millisecond_they_were_made() -> None:
    """So that their index stays local."""
    now = [1_750_000_000.0]
    new_id = time_ordered(lambda: now[0], Random(1))
    made = []
    for _ in range(500):
        now[0] += 0.001
        made.append(new_id("m"))
    assert made == sorted(made)


def test_ids_of_one_moment_differ() -> None:
    """Forty random bits see to that."""
    new_id = time_ordered(lambda: 0.0, Random(1))
    assert len({new_id("m") for _ in range(5_000)}) == 5_000


def test_an_id_is_a_word_for_a_path_and_a_prompt() -> None:
    """Prefix, hyphen, seventeen plain characters."""
    prefix, rest = time_ordered(lambda: 1_750_000_000.0, Random(1))("m").split("-")
    assert prefix == "m"
    assert len(rest) == 17
    assert set(rest) <= set(ALPHABET)
