"""Every vote counts once, whatever breaks."""

import pytest
from election import election
from teller import HastyTeller, Teller

from hive.testing import Faults, simulate

LOST_BOXES = Faults(lose_box=0.003)


@pytest.mark.seeds(30)
def test_every_vote_counts_once(seed: int) -> None:
    """However often the box is lost in the middle of a turn, and its mail comes again."""
    simulate(election(Teller()), seed, faults=LOST_BOXES)


def test_a_hasty_teller_is_found_out() -> None:
    """By some seed of the same thirty; without faults it would pass for honest."""
    simulate(election(HastyTeller()), 0)
    with pytest.raises(AssertionError, match="to"):
        for seed in range(30):
            simulate(election(HastyTeller()), seed, faults=LOST_BOXES)
