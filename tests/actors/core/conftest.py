"""Every behaviour of the kernel is tested under many seeds: `HIVE_SEEDS` says how many."""

from __future__ import annotations

import os

import pytest

DEFAULT_SEEDS = 30


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes a `seed` one run for each."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(int(os.environ.get("HIVE_SEEDS", DEFAULT_SEEDS))))
