"""What the page needs of the rest of hive, handed in by whoever composes it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from attrs import Factory, field, frozen

from hive.actors.protocol import Performs
from hive.protocol.chaos import Plan
from hive.protocol.commands import Settings
from hive.protocol.grammar import Role
from hive.protocol.names import OPERATOR
from hive.protocol.views import AuditView, Credential
from hive.store.port import Store
from hive.web.answers import Answers
from hive.web.health import Health
from hive.web.lanes import Lanes
from hive.web.login import Codes
from hive.web.metrics import Metrics


class Chaos(Protocol):
    """The switch of chaos."""

    def said(self) -> Mapping[str, object] | None:
        """What it is doing (`on`), or did the last time; None if this daemon never had it on."""
        ...

    async def on(self, plan: Plan, by: str) -> Mapping[str, object]:
        """Turn it on.  `Conflict` where it is."""
        ...

    async def off(self, by: str) -> Mapping[str, object] | None:
        """Turn it off; nothing of it is left when this returns."""
        ...


class Secrets(Protocol):
    """The credentials of a hive, whose values go in and never come out here."""

    def credentials(self) -> Sequence[Credential]:
        """Their names, variables and ages."""
        ...

    def variable_of(self, name: str) -> str:
        """The variable that the CLI of a backend takes its key from.  `Malformed` where none is known."""
        ...

    def missing(self, settings: Settings) -> str:
        """What to do so that an agent with these settings is logged in; empty where there is nothing."""
        ...

    async def put(self, name: str, variable: str, value: str) -> tuple[str, ...]:
        """Keep a value; answers the names of all variables of the credential.  `Malformed`, `Refused`."""
        ...

    async def remove(self, name: str, variable: str | None = None) -> tuple[str, ...]:
        """Forget a credential, or one variable of it.  Answers those that are left.  `Refused`."""
        ...


class Powers(Protocol):
    """What only the owner may ask for, and only the composition root can do."""

    def endpoint(self, agent: str) -> Mapping[str, object]:
        """URL, socket and token state of an agent's tools endpoint."""
        ...

    @property
    def chaos(self) -> Chaos:
        """The switch of chaos."""
        ...

    @property
    def secrets(self) -> Secrets:
        """The credentials."""
        ...

    async def backup(self, file: Path) -> Mapping[str, object]:
        """Copy the live store to a file that does not exist yet."""
        ...

    def stop(self, why: str) -> None:
        """Begin an ordered shutdown."""
        ...

    def diagnosis(self, agents: Sequence[Settings]) -> list[Mapping[str, object]]:
        """Findings of `doctor` beyond the store: disk, ports, versions, isolation, what runs these agents.

        May block for a while.
        """
        ...

    def tree(self) -> object:
        """The supervision tree as a frozen value."""
        ...


class Via(StrEnum):
    """How a client came in."""

    PAGE = "page"
    SOCKET = "socket"


@frozen
class Login:
    """Who speaks on a connection."""

    who: str
    role: Role
    via: Via
    session: str | None = None
    """Hash of the browser session, to be checked again while the connection lasts."""


FAULT: Mapping[str, str] = {"code": "fault", "text": "hive itself failed at this; its log says how"}
"""What a client is told of a fault that is nobody's but ours."""


def log_error(error: BaseException) -> None:
    """Write a fault to the standard library's log."""
    logging.getLogger(__name__).error("The page failed at a request", exc_info=error)


def _health(parts: "WebParts") -> Health:
    return Health(parts.store, parts.wall, parts.audit, lambda: parts.powers.chaos.said())  # noqa: PLW0108 - not yet


@frozen(eq=False)
class WebParts:
    """The page's view of hive."""

    store: Store
    lanes: Lanes
    broker: Performs
    powers: Powers
    codes: Codes
    wall: Callable[[], float]
    new_secret: Callable[[], str]
    """A fresh unguessable text, 256 bits, safe in URLs and headers."""

    version: str
    operator: str
    """The person's name, as shown."""

    origins: Callable[[], tuple[str, ...]]
    """Origins the page may be opened under, as `http://127.0.0.1:7700`; known once the port is."""

    check_settings: Callable[[Settings], None]
    """Raises `Malformed` where nothing could run an agent with these settings."""

    default_backend: Callable[[], str] = lambda: Settings().backend
    """What runs an agent of which nobody says more.  Raises `Refused`, which says what there is to choose."""

    audit: Callable[[], AuditView] = AuditView
    """How hive's audit of itself stands."""

    operator_identity: str = OPERATOR
    on_error: Callable[[BaseException], None] = log_error
    health: Health = field(init=False, default=Factory(_health, takes_self=True))
    metrics: Metrics = field(
        init=False,
        default=Factory(
            lambda self: Metrics(self.store, self.wall, self.audit, self.version), takes_self=True
        ),
    )
    answers: Answers = field(init=False, default=Factory(lambda self: Answers(self.wall), takes_self=True))
