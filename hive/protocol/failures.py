"""Why a turn of an agent failed, in one vocabulary for every kind of agent.  Pure."""

from enum import StrEnum


class ErrorClass(StrEnum):
    """Why a turn failed, as far as typed events tell, or a preset's patterns; never by free text alone."""

    AUTH = "auth"
    BILLING = "billing"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    OVERFLOW = "context_overflow"
    MODEL = "model"
    NETWORK = "network"
    TOOLS = "mcp"
    BUDGET = "budget"
    STEP_LIMIT = "max_turns"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    CRASH = "crash"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    NO_START = "no_start"
    BOX_GONE = "box_gone"
