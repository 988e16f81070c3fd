"""What a cell can be doing. No incarnation lives in the last four."""

from __future__ import annotations

import enum
from typing import Final


class Status(enum.Enum):
    """What a cell is doing."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    EXITED = "exited"
    WAITING = "waiting for its restart"
    STOPPED = "stopped"
    PARKED = "parked"


RESTING: Final = frozenset({Status.STOPPED, Status.PARKED})
"""Nothing will run here until somebody asks for it, so questions are answered at once: nobody is in."""
