"""The stories of the proof: what a swarm goes through, each to be told under faults and any seed.

    from hive.testing import Faults, simulate
    from hive.testing.stories import STORIES

    simulate(STORIES["restart_storm"], seed=7, faults=Faults.some())

The rule kept here: each story ends in peace and makes up its account, so that whatever has become of a
message is known, and each says what must have happened at least, so that one which does nothing fails.
"""

from collections.abc import Awaitable, Callable, Mapping

from hive.testing.simulate import Simulation

from .chatter import chatter
from .clock import clock
from .external import external
from .failing import always_fails
from .mailbox import full_mailbox
from .operator import operator_storm
from .providers import limit_storm, login_storm
from .ring import ring
from .slots import slots
from .storms import rebuild_storm, restart_storm

STORIES: Mapping[str, Callable[[Simulation], Awaitable[None]]] = {
    story.__name__: story
    for story in (
        chatter,
        rebuild_storm,
        operator_storm,
        restart_storm,
        limit_storm,
        login_storm,
        always_fails,
        ring,
        full_mailbox,
        slots,
        clock,
        external,
    )
}
