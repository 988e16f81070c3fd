"""The suites that implementations of hive's ports, and actors, are held to. Import them from here.

Each is a class of tests for pytest: subclass it, say how the thing under test is made, and its tests are
collected with yours. The first lines of each suite's own file show how. Coming by here has pytest show what
was compared wherever a test of theirs fails.
"""

import sys
from typing import Final

import pytest

SUITES: Final = tuple(
    f"hive.testing.{name}_contract" for name in ("actor", "backend", "driver", "mailbox", "store")
)

# A module that has been imported already is beyond help, and pytest would complain of it.
pytest.register_assert_rewrite(*[name for name in SUITES if name not in sys.modules])

from .actor_contract import ActorContract, Trial  # noqa: E402 - after the registration
from .backend_contract import BackendContract  # noqa: E402 - as above
from .driver_contract import DriverContract  # noqa: E402 - as above
from .mailbox_contract import MailboxContract  # noqa: E402 - as above
from .store_contract import StoreContract  # noqa: E402 - as above

__all__ = [
    "ActorContract",
    "BackendContract",
    "DriverContract",
    "MailboxContract",
    "StoreContract",
    "Trial",
]
