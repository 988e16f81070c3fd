"""Every behaviour of the kernel is tested under many seeds: `HIVE_SEEDS` says how many."""

from __future__ import annotations

import os

import pytest

DEFAULT_SEEDS = 30


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Mark a test that takes a `seed`, for the plugin to find."""
    if "seed" in metafunc.fixturenames:
        metafunc.definition.add_marker(pytest.mark.seeds(int(os.environ.get("HIVE_SEEDS", DEFAULT_SEEDS))))
