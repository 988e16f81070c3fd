"""Simulations under pytest: many seeds for one test, one seed again, each story twice.

The rule kept here: pytest loads this file in every run of every project that has hive installed.  So it lies
outside `hive.testing`, whose import takes half a second, and imports nothing but pytest and two variables.
See docs/testing.md for how to use it.
"""

import argparse
import os
import shlex
from collections.abc import Callable, Generator, Sequence
from typing import NoReturn, TypeVar

import pytest

from hive.retelling import AGAIN, TWICE, seed_of, seeds_of

T = TypeVar("T")

MARKER = "seeds(count): run the test once for each seed from 0 to count - 1, given as its parameter `seed`"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what can be asked for."""
    group = parser.getgroup("hive", "hive's simulations")
    group.addoption(
        "--hive-seeds",
        type=_typed(seeds_of),
        metavar="A..B",
        help="the seeds of all tests marked with seeds, instead of those they ask for; B is the last one",
    )
    group.addoption(
        "--hive-seed", type=_typed(seed_of), metavar="N", help="only this seed, in all such tests"
    )
    group.addoption(
        "--hive-twice", action="store_true", help="tell every story twice, and fail where the two runs differ"
    )


def _typed(read: Callable[[str], T]) -> Callable[[str], T]:
    """A reader of an option, whose complaint pytest shows."""

    def typed(text: str) -> T:
        try:
            return read(text)
        except ValueError as wrong:
            raise argparse.ArgumentTypeError(str(wrong)) from None

    return typed


def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and make the marker known."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("hive_seeds") is not None and config.getoption("hive_seed") is not None:
        raise pytest.UsageError("--hive-seed and --hive-seeds exclude each other")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a marked test its seeds."""
    if (marker := metafunc.definition.get_closest_marker("seeds")) is None:
        return
    count = _count(metafunc, marker)
    if "seed" not in metafunc.fixturenames:
        _refuse(metafunc, "is marked with seeds, but takes no seed: give it a parameter of that name")
    metafunc.parametrize("seed", _chosen(metafunc.config) or range(count))


def _count(metafunc: pytest.Metafunc, marker: pytest.Mark) -> int:
    match marker.args:
        case (int() as count,) if count > 0 and not marker.kwargs:
            return count
        case _:
            example = "which takes how many there are, as pytest.mark.seeds(50)"
            return _refuse(metafunc, f"is marked with seeds, {example}")


def _refuse(metafunc: pytest.Metafunc, why: str) -> NoReturn:
    pytest.fail(f"{metafunc.definition.nodeid} {why}", pytrace=False)


def _chosen(config: pytest.Config) -> Sequence[int]:
    """The seeds of the command line, if there are any."""
    one: int | None = config.getoption("hive_seed")
    several: range | None = config.getoption("hive_seeds")
    return several or () if one is None else (one,)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tell the simulations of a test, and of its fixtures, how they are run."""
    told_by = AGAIN.set(again(item))
    twice = TWICE.set(bool(item.config.getoption("hive_twice")))
    try:
        return (yield)
    finally:
        AGAIN.reset(told_by)
        TWICE.reset(twice)


def again(item: pytest.Item) -> str:
    """The command that runs one test again with its seed."""
    # A test's own id begins where pytest's root is, which need not be where the person is.
    file = os.path.relpath(item.path, item.config.invocation_params.dir)
    words = ["pytest", shlex.quote("::".join((file, *item.nodeid.split("::")[1:])))]
    if item.get_closest_marker("seeds") is not None and isinstance(item, pytest.Function):
        words.append(f"--hive-seed {item.callspec.params['seed']}")
    if item.config.getoption("hive_twice"):
        words.append("--hive-twice")
    return " ".join(words)
