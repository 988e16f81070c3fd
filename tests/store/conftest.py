"""What tests of the store share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hive.testing.desk import Desk, open_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A recovered store with the agents iris and rosa."""
    with open_desk(tmp_path) as made:
        yield made
